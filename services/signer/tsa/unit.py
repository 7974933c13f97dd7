"""The time-stamp unit: our key and the certificate that the registry issues for it, asked for again before it ends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError, TimeStampUnavailable
from services.kernel.values import SigningAlgorithm, default_scheme
from services.signer.hsm.types import KeyLocator
from services.signer.ports import AuthorityKey, Clock, KeyStore
from services.signer.service.keys import authority_digest
from services.signer.tsa.metrics import TsaMetrics
from services.signer.tsa.token import TokenParts, token_parts

REFRESH_SECONDS = 300.0
"""The registry is asked so often whether there is a newer certificate."""
RETRY_SECONDS = 2.0
"""And so often while there is none that can be used."""
MAX_CHAIN = 8

FetchChain = Callable[[str], Awaitable[Sequence[bytes]]]
"""Asks the registry for the certificates of a unit, DER, the unit's first; NotFound until they are issued."""


@dataclass(frozen=True, slots=True)
class UnitRule:
    """What the settings say about our own authority."""

    key: str
    """Name of the authority key."""
    policy: str
    """Object identifier of the policy that its tokens name."""
    accuracy: timedelta


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that can stamp."""

    key: AuthorityKey
    locator: KeyLocator
    algorithm: SigningAlgorithm
    chain: tuple[bytes, ...]
    parts: TokenParts
    not_before: datetime
    not_after: datetime

    def holds(self, now: datetime) -> bool:
        """Tell whether the certificate is valid now."""
        return self.not_before <= now < self.not_after


class UnitKeeper:
    """Keeps the present certificate; asks the registry in the background, and at once where there is none."""

    def __init__(
        self,
        rule: UnitRule,
        keys: KeyStore,
        fetch: FetchChain,
        clock: Clock,
        metrics: TsaMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        """Bind the rule, the key's record and the registry."""
        self.rule, self._keys, self._fetch, self._clock = rule, keys, fetch, clock
        self._metrics, self._log = metrics, log
        self._asking = asyncio.Lock()
        self._kept: Unit | None = None
        self._failure: DomainError | None = None
        self._failed_until = float("-inf")

    async def get(self) -> Unit:
        """Return the unit; raise TimeStampUnavailable where there is no certificate that can be used."""
        unit = self._usable()
        if unit is None:
            async with self._asking:
                unit = self._usable() or await self._ask()
        return unit

    async def run(self) -> None:
        """Look for a newer certificate until cancelled."""
        while True:
            pause = REFRESH_SECONDS
            try:
                async with self._asking:
                    await self._ask()
            except DomainError:
                # Told by `_ask`. What is kept serves on until its end.
                pause = RETRY_SECONDS if self._usable() is None else REFRESH_SECONDS
            await asyncio.sleep(pause)

    def _usable(self) -> Unit | None:
        unit = self._kept
        return unit if unit is not None and unit.holds(self._clock()) else None

    async def _ask(self) -> Unit:
        loop = asyncio.get_running_loop()
        if self._failure is not None and loop.time() < self._failed_until:
            raise self._failure
        try:
            unit = await self._fetched()
        except DomainError as error:
            if self._failure is None or self._failure.message != error.message:
                self._log.warning("time_stamp_certificate_missing", code=error.code, message=error.message)
            self._failure, self._failed_until = error, loop.time() + RETRY_SECONDS / 2
            raise
        self._failure = None
        if self._kept is None or self._kept.chain != unit.chain:
            self._log.info(
                "time_stamp_certificate",
                key=self.rule.key,
                sha256=hashlib.sha256(unit.chain[0]).hexdigest(),
                not_after=unit.not_after.isoformat(),
            )
        self._kept = unit
        self._metrics.certificate_end.set(unit.not_after.timestamp())
        return unit

    async def _fetched(self) -> Unit:
        try:
            chain = tuple(await self._fetch(self.rule.key))
        except TimeStampUnavailable:
            raise
        except DomainError as error:
            raise TimeStampUnavailable(f"no certificate of the time-stamp unit: {error.message}") from error
        # Asked for after the certificate: the registry has the key made before it issues one.
        key = await self._keys.authority_key(self.rule.key)
        if key is None:
            raise TimeStampUnavailable(f"authority key {self.rule.key} is not there yet")
        unit = make_unit(self.rule, key, chain)
        if not unit.holds(self._clock()):
            raise TimeStampUnavailable("the certificate of the time-stamp unit is not valid now")
        return unit


def make_unit(rule: UnitRule, key: AuthorityKey, chain: tuple[bytes, ...]) -> Unit:
    """Check that the chain's first certificate is one for time-stamping with this key; TimeStampUnavailable."""
    algorithm = SigningAlgorithm(default_scheme(key.algorithm), authority_digest(key.algorithm))
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise TimeStampUnavailable("the registry answered no certificate of the time-stamp unit")
    try:
        leaf = x509.load_der_x509_certificate(chain[0])
        spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        parts = token_parts(chain, algorithm, rule.policy, rule.accuracy)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise TimeStampUnavailable(
            "the certificate of the time-stamp unit is none for time-stamping"
        ) from error
    if spki != key.spki:
        raise TimeStampUnavailable("the certificate of the time-stamp unit is for another key than ours")
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        # RFC 3161 section 2.3.
        raise TimeStampUnavailable(
            "the certificate of the time-stamp unit is not for time-stamping alone, critically"
        )
    return Unit(
        key=key,
        locator=KeyLocator(key.token_group, key.cka_id, key.spki_sha256),
        algorithm=algorithm,
        chain=chain,
        parts=parts,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )
