"""Who is asking: access tokens (JWT, ES256) are verified here before a body is read, and again by every service.

The gateway only saves the services work with this. Its word counts for nothing: the token itself travels on.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.kernel.errors import (
    DomainError,
    ScopeMissing,
    ServiceUnavailable,
    TokenExpired,
    TokenInvalid,
    Unauthenticated,
)

ISSUER = "kyso"
AUDIENCE = "kyso"
MAX_TOKEN_CHARACTERS = 8 * 1024
MAX_TOKEN_SECONDS = 3600
"""The registry's tokens live for ten minutes: one that says it lives for days is not what it looks like."""
MAX_CACHED_TOKENS = 10_000
KEYS_SECONDS = 300.0
"""After this age the keys are asked for again, so that a key taken out of use stops working here too."""
KEYS_PAUSE_SECONDS = 5.0
"""At least this long between two questions that tokens with unknown keys cause."""
FAILURE_SECONDS = 1.0
"""For so long after a failed question its answer is given again: callers must not queue up behind a dead registry."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """The client that a token names. `metadata` passes the token on to the services."""

    client_id: str
    agency_id: str
    scopes: frozenset[str]
    expires_at: float
    metadata: tuple[tuple[str, str], ...]

    def require_any(self, scopes: frozenset[str]) -> None:
        """Raise ScopeMissing where the token holds none of these scopes; an empty set asks for nothing."""
        if scopes and not scopes & self.scopes:
            wanted = " or ".join(sorted(scopes))
            raise ScopeMissing(
                f"the access token does not hold the scope {wanted}; ask for it at /oauth2/token",
                scope=" ".join(sorted(scopes)),
            )


ANONYMOUS = Caller("", "", frozenset(), 0.0, ())
"""Stands where no token is asked for."""

FetchKeys = Callable[[], Awaitable[str]]
"""Asks the registry for its JWK Set, as text."""


def bearer_token(authorization: str | None) -> str:
    """Return the token of an Authorization header (RFC 6750 section 2.1); raise Unauthenticated without one."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "no access token: get one at /oauth2/token and send it as Authorization: Bearer"
        )
    token = token.strip()
    if len(token) > MAX_TOKEN_CHARACTERS or not _TOKEN.fullmatch(token):
        raise TokenInvalid("the access token is not a JWT; get one at /oauth2/token")
    return token


class TokenVerifier:
    """Verifies access tokens with the registry's public keys and remembers the good ones until they end.

    Remembered is the SHA-256 of a token, not the token.
    """

    def __init__(self, fetch_keys: FetchKeys, clock: Callable[[], datetime]) -> None:
        """Take the question to the registry, and the clock (aware UTC)."""
        self._fetch = fetch_keys
        self._clock = clock
        self._keys: dict[str, ECKey] = {}
        self._asked_at = self._failed_at = float("-inf")
        self._asking = asyncio.Lock()
        self._known: OrderedDict[bytes, Caller] = OrderedDict()

    @property
    def ready(self) -> bool:
        """Whether keys are there."""
        return bool(self._keys)

    async def verify(self, authorization: str | None) -> Caller:
        """Return who the header's token names.

        Raises Unauthenticated without a token, TokenExpired after its end, TokenInvalid for every other fault,
        ServiceUnavailable where the registry's keys cannot be had.
        """
        token = bearer_token(authorization)
        digest = hashlib.sha256(token.encode("ascii")).digest()
        now = self._clock().timestamp()
        if asyncio.get_running_loop().time() - self._asked_at > KEYS_SECONDS:
            await self._refresh_quietly()
        caller = self._known.get(digest)
        if caller is None:
            caller = await self._verify(token)
            self._remember(digest, caller)
        if now >= caller.expires_at:
            self._known.pop(digest, None)
            raise TokenExpired("the access token has expired; get a new one at /oauth2/token")
        return caller

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._known[digest] = caller
        while len(self._known) > MAX_CACHED_TOKENS:
            self._known.popitem(last=False)

    async def _verify(self, token: str) -> Caller:
        header = _header(token)
        # RFC 8725: the algorithm is ours to fix, never the token's to choose.
        if header.get("alg") != "ES256" or str(header.get("typ", "")).lower() not in _TYPES:
            raise TokenInvalid("the access token is not one that this platform issued (alg, typ)")
        key = await self._key(str(header.get("kid", "")))
        try:
            claims = jwt.decode(token, key, algorithms=["ES256"]).claims
        except (JoseError, ValueError):
            raise TokenInvalid("the access token's signature is not the registry's; get a new one") from None
        return _caller(token, claims)

    async def _key(self, kid: str) -> ECKey:
        if kid not in self._keys:
            await self.refresh(KEYS_PAUSE_SECONDS)
        key = self._keys.get(kid)
        if key is None:
            raise TokenInvalid("the access token is signed with a key that the registry does not know")
        return key

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh(KEYS_SECONDS)
        except ServiceUnavailable:
            # The keys at hand stay good for a while: a registry that restarts must not stop signing.
            if not self._keys:
                raise

    async def refresh(self, minimum_age: float) -> None:
        """Ask for the keys unless they are younger than `minimum_age` seconds; raise ServiceUnavailable."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            if self._keys and loop.time() - self._asked_at < minimum_age:
                return
            if loop.time() - self._failed_at < FAILURE_SECONDS:
                raise _no_keys()
            try:
                keys = _read_keys(await self._fetch())
            except DomainError as error:
                self._failed_at = loop.time()
                # With keys at hand it is enough to ask again a little later.
                self._asked_at = loop.time() - KEYS_SECONDS + KEYS_PAUSE_SECONDS
                raise _no_keys() from error
            if keys.keys() != self._keys.keys():
                self._known.clear()
            self._keys, self._asked_at = keys, loop.time()


def _no_keys() -> ServiceUnavailable:
    return ServiceUnavailable(
        "the registry's token keys cannot be had now; try again shortly", service="registry"
    )


_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""RFC 9068 section 4: no other kind of JWT counts as an access token."""


def _header(token: str) -> dict[str, Any]:
    text = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise TokenInvalid("the access token's header cannot be read")
    return header


def _read_keys(jwks: str) -> dict[str, ECKey]:
    try:
        keys = json.loads(jwks)["keys"]
        found = {str(key["kid"]): ECKey.import_key(key) for key in keys if key.get("crv") == "P-256"}
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServiceUnavailable("the registry answered no usable token keys", service="registry") from error
    if not found:
        raise ServiceUnavailable("the registry answered no token keys", service="registry")
    return found


def _caller(token: str, claims: dict[str, Any]) -> Caller:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires, issued = claims.get("exp"), claims.get("iat")
    texts = (claims.get("sub"), claims.get("agency"), claims.get("scope", ""))
    if claims.get("iss") != ISSUER or AUDIENCE not in audiences:
        raise TokenInvalid("the access token is made by or for somebody else")
    if (
        not isinstance(expires, int | float)
        or not isinstance(issued, int | float)
        or not all(isinstance(text, str) for text in texts)
        or not texts[0]
    ):
        raise TokenInvalid("the access token lacks claims that it must have")
    # Written so that a NaN, too, is refused.
    if not expires - issued <= MAX_TOKEN_SECONDS:
        raise TokenInvalid(
            f"the access token lives longer than {MAX_TOKEN_SECONDS} s; get one at /oauth2/token"
        )
    client, agency, scope = (str(text) for text in texts)
    return Caller(
        client_id=client,
        agency_id=agency,
        scopes=frozenset(scope.split()),
        expires_at=float(expires),
        metadata=(("authorization", f"Bearer {token}"),),
    )
