"""Access tokens (RFC 6749 section 4.4): got with the client's proof, kept in memory until shortly before they end."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus

import httpx

from kyso_client.errors import KysoUnreachable, error_of

if TYPE_CHECKING:
    # Imported where it is used: the command starts in half the time without it.
    from joserfc.jwk import ECKey, OKPKey, RSAKey

PATH = "/oauth2/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 120
EARLY_SECONDS = 30.0
"""A token is renewed this long before its end, so that it still holds when the request arrives."""


class ClientProof(Protocol):
    """How a client proves who it is."""

    def request(self, token_url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and the form fields of a token request."""


class ClientSecret:
    """A client id with its secret, sent as HTTP Basic. It does not print its secret."""

    def __init__(self, client_id: str, secret: str) -> None:
        """Take id and secret."""
        self.client_id = client_id
        self._secret = secret

    def request(self, token_url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and the form fields of a token request."""
        del token_url
        # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
        joined = f"{quote_plus(self.client_id)}:{quote_plus(self._secret)}"
        return {"Authorization": "Basic " + base64.b64encode(joined.encode()).decode()}, {}


class PrivateKey:
    """A client id with a private key of its own (private_key_jwt, RFC 7523). It does not print its key."""

    def __init__(self, client_id: str, pem: bytes, key_id: str = "") -> None:
        """Take the id, the key (PEM, PKCS#8) and the `kid` by which the registry knows its public half."""
        self.client_id = client_id
        text = pem.decode("ascii")
        self._key, self._algorithm = _import_key(text)
        self._key_id = key_id or self._key.thumbprint()

    def request(self, token_url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and the form fields of a token request."""
        from joserfc import jwt

        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": token_url,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        header = {"alg": self._algorithm, "kid": self._key_id}
        assertion = jwt.encode(header, claims, self._key, algorithms=[self._algorithm])
        return {}, {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def _import_key(pem: str) -> tuple[ECKey | RSAKey | OKPKey, str]:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    for kind, algorithm in ((ECKey, "ES256"), (RSAKey, "PS256"), (OKPKey, "EdDSA")):
        try:
            key = kind.import_key(pem)
        except ValueError:
            continue
        if isinstance(key, ECKey) and key.curve_name == "P-384":
            return key, "ES384"
        return key, algorithm
    raise ValueError("the private key is none of EC P-256 or P-384, RSA, Ed25519 in PEM")


class TokenSource:
    """Gives the present token and gets a new one when it is needed; usable from several threads."""

    def __init__(
        self,
        http: httpx.Client,
        proof: ClientProof,
        scope: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the HTTP client (its base URL is the gateway's) and the proof; scope "" asks for all it has."""
        self._http = http
        self._proof = proof
        self._scope = scope
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def token(self) -> str:
        """Return a token that holds; raise KysoError where the client's proof is refused."""
        with self._lock:
            if self._monotonic() >= self._until:
                self._fetch()
            return self._token

    def forget(self, token: str) -> None:
        """Get a new token next time, unless another thread already has one."""
        with self._lock:
            if token == self._token:
                self._until = 0.0

    def _fetch(self) -> None:
        headers, fields = self._proof.request(str(self._http.base_url).rstrip("/") + PATH)
        form = {"grant_type": "client_credentials", **fields}
        if self._scope:
            form["scope"] = self._scope
        try:
            answer = self._http.post(PATH, data=form, headers=headers)
        except httpx.TransportError as error:
            raise KysoUnreachable(
                f"the platform does not answer: {type(error).__name__}", sent=False
            ) from error
        if not answer.is_success:
            raise error_of(answer)
        document = answer.json()
        self._token = str(document["access_token"])
        life = float(document["expires_in"])
        self._until = self._monotonic() + max(life - EARLY_SECONDS, life / 2)
