"""Access tokens (RFC 9068): issued for a client's proof, verified at every call that carries one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from services.kernel.errors import DomainError, ScopeMissing, TokenExpired, TokenInvalid, Unauthenticated
from services.kernel.values import new_id
from services.registry.domain import secrets
from services.registry.domain.access import SCOPES, Caller
from services.registry.domain.parties import Client
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Store
from services.registry.service.chronicle import Clock
from services.registry.tokenkeys import ALGORITHM, TokenKeys

ISSUER = AUDIENCE = "kyso"
MAX_TOKEN_CHARACTERS = 8 * 1024
MAX_ASSERTION_SECONDS = 300
LEEWAY_SECONDS = 30
"""Between the clocks of a client and ours."""
REMEMBERED_SECONDS = 60
"""An assertion is remembered so long beyond its end: one that was good when it was read may wait for the database."""
MAX_JTI_CHARACTERS = 128
ASSERTION_ALGORITHMS = ("ES256", "ES384", "PS256", "RS256", "Ed25519")
"""RFC 9864 names Ed25519 so; the older "EdDSA" leaves the curve open and is not taken."""

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A client's request; exactly one of `secret` and `assertion` is not empty."""

    client_id: str
    secret: str
    assertion: str
    scope: str
    token_endpoint: str


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as the client gets it."""

    access_token: str
    expires_in: int
    scope: str


class TokenService:
    """Issues and verifies access tokens. It refuses every wrong proof with the same words."""

    def __init__(
        self, store: Store, keys: TokenKeys, lifetime_seconds: int, clock: Clock, metrics: RegistryMetrics
    ) -> None:
        """Bind the clients' store, the signing keys and how long a token lives."""
        self._store, self._keys = store, keys
        self._lifetime, self._clock, self._metrics = lifetime_seconds, clock, metrics

    @property
    def jwks(self) -> str:
        """The public keys, JWK Set as JSON."""
        return self._keys.public_jwks

    async def issue(self, request: TokenRequest) -> IssuedToken:
        """Check the proof and issue a token. Raise Unauthenticated or ScopeMissing."""
        try:
            client = await self._authenticate(request)
            scopes = _asked_scopes(request.scope, client)
        except DomainError as error:
            self._metrics.tokens_refused.labels(error.code).inc()
            raise
        now = int(self._clock().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": client.id,
            "client_id": client.id,
            "agency": client.agency_id,
            "scope": " ".join(scopes),
            "document_types": list(client.document_types),
            "label_required": client.label_required,
            "jti": new_id("tk"),
            "iat": now,
            "exp": now + self._lifetime,
        }
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self._keys.signing.kid}
        token = jwt.encode(header, claims, self._keys.signing, algorithms=[ALGORITHM])
        self._metrics.tokens_issued.inc()
        return IssuedToken(token, self._lifetime, " ".join(scopes))

    def verify(self, token: str) -> Caller:
        """Read a token; raise TokenExpired or TokenInvalid."""
        if not token or len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenInvalid("the access token is not one of ours")
        try:
            decoded = jwt.decode(token, self._keys.all, algorithms=[ALGORITHM])
            self._claims(decoded.claims)
            if decoded.header.get("typ") != "at+jwt":
                raise TokenInvalid("the token is no access token")
            claims = decoded.claims
            return Caller(str(claims["sub"]), str(claims["agency"]), frozenset(str(claims["scope"]).split()))
        except ExpiredTokenError:
            raise TokenExpired("the access token's time is over: ask for a new one") from None
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            # The library's texts could quote the token.
            raise TokenInvalid("the access token is malformed, forged, or not for Kyso") from error

    def _claims(self, claims: dict[str, Any]) -> None:
        jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            # Clocks of replicas differ: a token fresh from another must not look as if it came from the future.
            leeway=2,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            agency={"essential": True},
            scope={"essential": True},
        ).validate(claims)

    async def _authenticate(self, request: TokenRequest) -> Client:
        if request.assertion:
            return await self._by_assertion(request)
        # Anybody may ask here: what no client is called never reaches the database.
        if not _CLIENT_ID.fullmatch(request.client_id):
            raise _refused()
        async with self._store.reading() as unit:
            client = await unit.parties.client(request.client_id)
        proven = secrets.matches(request.secret, client.secret if client else None)
        if client is None or not proven or not client.enabled:
            raise _refused()
        return client

    async def _by_assertion(self, request: TokenRequest) -> Client:
        if len(request.assertion) > MAX_TOKEN_CHARACTERS:
            raise _refused()
        # RFC 7523 section 3: whose keys to verify with is written inside; nothing of it is believed before that.
        subject = _claimed_subject(request.assertion)
        if request.client_id and request.client_id != subject:
            raise _refused()
        async with self._store.reading() as unit:
            client = await unit.parties.client(subject)
        if client is None or not client.enabled or not client.jwks:
            raise _refused()
        jti, expires_at = self._verify_assertion(request, client)
        async with self._store.transaction() as unit:
            if not await unit.parties.use_assertion(client.id, jti, expires_at, self._clock()):
                raise Unauthenticated("this client assertion was used before: make a new one with a new jti")
        return client

    def _verify_assertion(self, request: TokenRequest, client: Client) -> tuple[str, datetime]:
        now = int(self._clock().timestamp())
        audiences = [AUDIENCE, *([request.token_endpoint] if request.token_endpoint else [])]
        try:
            keys = KeySet.import_key_set(json.loads(client.jwks))
            claims = jwt.decode(request.assertion, keys, algorithms=list(ASSERTION_ALGORITHMS)).claims
            jwt.JWTClaimsRegistry(
                now=now,
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": client.id},
                sub={"essential": True, "value": client.id},
                aud={"essential": True, "values": audiences},
                exp={"essential": True},
                jti={"essential": True},
            ).validate(claims)
            ends, jti = int(claims["exp"]), str(claims["jti"])
        except (JoseError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise _refused() from error
        if ends > now + MAX_ASSERTION_SECONDS + LEEWAY_SECONDS:
            raise Unauthenticated(f"a client assertion may live {MAX_ASSERTION_SECONDS} seconds at most")
        if not 1 <= len(jti) <= MAX_JTI_CHARACTERS or not jti.isprintable():
            raise Unauthenticated(
                f"jti of a client assertion has 1 to {MAX_JTI_CHARACTERS} printable characters"
            )
        return jti, datetime.fromtimestamp(ends + LEEWAY_SECONDS + REMEMBERED_SECONDS, UTC)


def _asked_scopes(asked: str, client: Client) -> tuple[str, ...]:
    if not asked.strip():
        return client.scopes
    wanted = set(asked.split())
    beyond = sorted(wanted.difference(client.scopes))
    if beyond:
        raise ScopeMissing(f"this client may not have the scope {beyond[0][:64]}", scope=beyond[0][:64])
    return tuple(scope for scope in SCOPES if scope in wanted)


def _claimed_subject(assertion: str) -> str:
    try:
        payload: Mapping[str, Any] = json.loads(jws.extract_compact(assertion.encode()).payload)
        subject = payload["sub"]
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refused() from error
    if not isinstance(subject, str) or not _CLIENT_ID.fullmatch(subject):
        raise _refused()
    return subject


def _refused() -> Unauthenticated:
    # One text for every reason: it must not tell which clients there are.
    return Unauthenticated("the client is unknown or switched off, or its secret or assertion is wrong")
