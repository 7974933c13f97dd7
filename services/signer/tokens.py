"""Access tokens, verified here and not taken on the gateway's word (architecture.md section 3, point 3).

A token that was verified is remembered by its SHA-256 until it ends, so a busy client costs one verification in its
token's life. Tokens themselves are neither kept nor logged.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.kernel.errors import (
    DomainError,
    ServiceUnavailable,
    TokenExpired,
    TokenInvalid,
    Unauthenticated,
)
from services.signer.domain import Client

ISSUER = "kyso"
AUDIENCE = "kyso"
MAX_TOKEN_CHARACTERS = 8192
KEPT_TOKENS = 10_000
REFRESH_PAUSE_SECONDS = 5.0
"""Between two fetches of the registry's keys for tokens that name an unknown key: forged tokens cannot make a storm."""
REFRESH_SECONDS = 300.0
FAILURE_SECONDS = 1.0
"""For so long after a failed fetch its answer is given again: tokens must not queue up behind a registry that is away."""
MAX_LIFE_SECONDS = 3600.0
"""The registry's tokens live ten minutes; what says that it lives longer than an hour is not believed."""
CLOCK_SKEW_SECONDS = 30
"""A token of a registry whose clock is ahead by less is good."""

_SUBJECT_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Client and agency become part of NATS subjects."""

FetchKeys = Callable[[], Awaitable[str]]
"""Returns the registry's JWK Set (RFC 7517) as JSON."""


class TokenVerifier:
    """The Tokens port: JWT (RFC 7519, RFC 9068), ES256 only, issued and signed by the registry."""

    def __init__(self, fetch_keys: FetchKeys, now: Callable[[], float] = time.time) -> None:
        """`fetch_keys` asks the registry; `now` tells seconds since 1970."""
        self._fetch, self._now = fetch_keys, now
        self._keys: KeySet | None = None
        self._kids: frozenset[str] = frozenset()
        self._fetched_at = self._failed_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._good: OrderedDict[bytes, tuple[Client, float]] = OrderedDict()

    async def verify(self, token: str) -> Client:
        """Return whose token it is."""
        if not token:
            raise Unauthenticated("send an access token: authorization: Bearer <token>")
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenInvalid(f"the access token is longer than {MAX_TOKEN_CHARACTERS} characters")
        name = hashlib.sha256(token.encode()).digest()
        kept = self._good.get(name)
        if kept is not None:
            self._require_time(kept[1])
            self._good.move_to_end(name)
            return kept[0]
        client, ends_at = _read(await self._claims(token))
        self._require_time(ends_at)
        self._good[name] = (client, ends_at)
        if len(self._good) > KEPT_TOKENS:
            self._good.popitem(last=False)
        return client

    async def check(self) -> str | None:
        """For readiness: None where the registry's token keys are known; they are fetched here when they are old."""
        if self._age() > REFRESH_SECONDS:
            await self._refresh_quietly()
        return None if self._keys is not None else "the registry's token keys are not known"

    async def _claims(self, token: str) -> dict[str, Any]:
        kid = _kid(token)
        if kid not in self._kids and (self._keys is None or self._age() > REFRESH_PAUSE_SECONDS):
            await self._refresh_quietly()
            if self._keys is None:
                raise ServiceUnavailable("the registry's token keys cannot be had now; try again shortly")
        if kid not in self._kids or self._keys is None:
            raise TokenInvalid(
                "the access token is not signed by this platform's registry: ask for a new one"
            )
        try:
            decoded = jwt.decode(token, self._keys, algorithms=["ES256"])
        except (JoseError, ValueError, RecursionError) as error:
            # ValueError: what is no base64 or no JSON inside. The texts may quote the token, so they are not passed on.
            raise TokenInvalid("the access token's signature or form is wrong: ask for a new one") from error
        self._require_issued(decoded.claims)
        return dict(decoded.claims)

    def _require_issued(self, claims: dict[str, Any]) -> None:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != ISSUER or AUDIENCE not in audiences:
            raise TokenInvalid("the access token was not issued for this platform")
        not_before = claims.get("nbf", claims.get("iat", 0))
        if not isinstance(not_before, (int, float)) or not_before > self._now() + CLOCK_SKEW_SECONDS:
            raise TokenInvalid("the access token is not valid yet")
        issued_at, ends_at = claims.get("iat"), claims.get("exp")
        if not isinstance(issued_at, (int, float)) or not isinstance(ends_at, (int, float)):
            raise TokenInvalid("the access token does not say when it was issued or when it ends")
        if not ends_at - issued_at <= MAX_LIFE_SECONDS:
            raise TokenInvalid(
                f"the access token lives longer than {MAX_LIFE_SECONDS:.0f} seconds: ask for a new one"
            )

    def _require_time(self, ends_at: float) -> None:
        if self._now() >= ends_at:
            raise TokenExpired("the access token has expired: ask for a new one")

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    async def _refresh_quietly(self) -> None:
        # Keys at hand stay good for a while: a registry that restarts must not stop signing.
        with suppress(DomainError):
            await self._refresh()

    async def _refresh(self) -> None:
        asked_at = time.monotonic()
        async with self._fetching:
            now = time.monotonic()
            if self._fetched_at >= asked_at or now - self._failed_at < FAILURE_SECONDS:
                # Somebody else fetched them, or tried in vain, while this caller waited for its turn or just before.
                return
            keys: KeySet | None = None
            try:
                keys = _key_set(await self._fetch())
            finally:
                # Also where the caller went away: a registry that does not answer is not asked for every token.
                if keys is None:
                    self._failed_at = time.monotonic()
                    if self._keys is not None:
                        self._fetched_at = time.monotonic()
            if self._keys is None or keys.as_dict(private=False) != self._keys.as_dict(private=False):
                # What a key that is gone once signed must not be remembered as good.
                self._good.clear()
            self._keys, self._kids = keys, frozenset(key.kid for key in keys.keys if key.kid)
            self._fetched_at = time.monotonic()


def _key_set(text: str) -> KeySet:
    try:
        return KeySet.import_key_set(json.loads(text))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServiceUnavailable("the registry answered no usable token keys") from error


def _kid(token: str) -> str:
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError) as error:
        raise TokenInvalid("the access token is not a JWT") from error
    kid = header.get("kid") if isinstance(header, dict) else None
    if not isinstance(kid, str):
        raise TokenInvalid("the access token does not name its key")
    return kid


def _read(claims: dict[str, Any]) -> tuple[Client, float]:
    texts = {name: claims.get(name) for name in ("sub", "agency", "scope")}
    types, ends_at = claims.get("document_types", []), claims.get("exp")
    if (
        not all(isinstance(value, str) for value in texts.values())
        or not _SUBJECT_TOKEN.fullmatch(str(texts["sub"]))
        or not _SUBJECT_TOKEN.fullmatch(str(texts["agency"]) or "none")
        or not isinstance(types, list)
        or not all(isinstance(item, str) for item in types)
        or not isinstance(ends_at, (int, float))
    ):
        raise TokenInvalid("the access token lacks a claim that this platform's tokens have")
    client = Client(
        id=str(texts["sub"]),
        agency_id=str(texts["agency"]),
        scopes=frozenset(str(texts["scope"]).split()),
        document_types=frozenset(types),
        label_required=bool(claims.get("label_required", False)),
    )
    return client, float(ends_at)
