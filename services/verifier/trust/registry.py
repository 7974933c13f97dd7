"""Anchors, CA certificates and CRLs from the registry, by RPC, kept for a short while."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from kyso.v1 import registry_pb2
from services.kernel.errors import DomainError, ServiceUnavailable
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose
from services.verifier.config import TrustSettings
from services.verifier.ports import TrustMaterial
from services.verifier.trust.freshness import Freshness
from services.verifier.x509.anchors import FOREIGN, TRUSTED_FOR, AnchorTerms, by_anchor


class PkiStub(Protocol):
    """The one call of the registry's PkiService that is needed."""

    def GetTrust(self, request: registry_pb2.GetTrustRequest) -> Any:  # noqa: N802 - the name of the RPC
        """Answers GetTrustResponse when awaited."""
        ...


class RegistryTrust:
    """TrustSource over the registry. Material lives at most `max_age_seconds` beyond the last word of the registry."""

    def __init__(
        self,
        registry: PkiStub,
        policy: AlgorithmPolicy,
        settings: TrustSettings,
        clock: Callable[[], datetime],
    ) -> None:
        """`policy` goes with all material; `clock` answers aware UTC."""
        self._policy = policy
        self.freshness = Freshness()
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._material: TrustMaterial | None = None
        self._fetched_at: datetime | None = None
        self._fetching = asyncio.Lock()
        self._reason = "trust was not fetched yet"

    def age_seconds(self) -> float:
        """Seconds since the registry last answered; infinity while it never did."""
        if self._fetched_at is None:
            return float("inf")
        return max(0.0, (self._clock() - self._fetched_at).total_seconds())

    async def current(self, within_seconds: float | None = None) -> TrustMaterial:
        """Material not older than `refresh_seconds`, or while the registry is away than `max_age_seconds`.

        Raises ServiceUnavailable when there is none: a document is then not judged at all.
        """
        limit = self._settings.refresh_seconds if within_seconds is None else within_seconds
        if self.age_seconds() > limit:
            async with self._fetching:
                # Whoever waited here finds what the one before has fetched.
                if self.age_seconds() > limit:
                    await self._fetch()
        if self._material is None or self.age_seconds() > self._settings.max_age_seconds:
            raise ServiceUnavailable("the registry's trust anchors cannot be had now; try again later")
        return self._material

    async def check(self) -> str | None:
        """Health check: None when there are fresh anchors, and no list is overdue."""
        try:
            material = await self.current()
        except ServiceUnavailable:
            return self._reason
        if not material.anchors:
            return "the registry knows no trust anchor"
        now, terms = self._clock(), by_anchor(material.terms)
        if all(_has_ended(terms.get(hashlib.sha256(der).hexdigest(), []), now) for der in material.anchors):
            return "no trust anchor is trusted any more"
        return self.freshness.reason(now)

    async def _fetch(self) -> None:
        try:
            answer = await self._registry.GetTrust(registry_pb2.GetTrustRequest())
        except DomainError as error:
            self._reason = f"the registry does not answer GetTrust ({error.code})"
            return
        fetched = TrustMaterial(
            anchors=tuple(dict.fromkeys(anchor.certificate for anchor in answer.anchors)),
            intermediates=tuple(answer.intermediates),
            crls=tuple(answer.crls),
            sha1_links=self._settings.sha1_links,
            sha1_cutoff=self._settings.sha1_cutoff,
            terms=_terms(answer.anchors),
            algorithms=self._policy,
        )
        lists = {
            one.name: one.next_update.ToDatetime(UTC)
            for one in answer.trust_lists
            if one.HasField("next_update")
        }
        self._fetched_at = self._clock()
        # The same object while nothing changed: by its identity the workers tell whether they have it already.
        if fetched != self._material:
            self._material = fetched
            self.freshness = await asyncio.to_thread(Freshness.of, fetched, lists)
        elif lists != self.freshness.lists:
            self.freshness = replace(self.freshness, lists=lists)


def _terms(anchors: Iterable[registry_pb2.TrustAnchor]) -> tuple[AnchorTerms, ...]:
    """Terms of the anchors that have any; one that comes once with limits and once without is trusted without."""
    anchors = list(anchors)
    unlimited = {one.certificate for one in anchors if _is_unlimited(one)}
    return tuple(
        AnchorTerms(
            hashlib.sha256(one.certificate).hexdigest(),
            one.scope,
            one.trusted_from.ToDatetime(UTC) if one.HasField("trusted_from") else None,
            one.trusted_until.ToDatetime(UTC) if one.HasField("trusted_until") else None,
            _purposes(one),
        )
        for one in anchors
        if one.certificate not in unlimited
    )


def _is_unlimited(anchor: registry_pb2.TrustAnchor) -> bool:
    limited = anchor.HasField("trusted_from") or anchor.HasField("trusted_until") or bool(anchor.purposes)
    return not limited and anchor.scope != FOREIGN


def _purposes(anchor: registry_pb2.TrustAnchor) -> frozenset[Purpose]:
    """A purpose that a later registry knows and this code does not is no reason to trust it for more."""
    known = {purpose.value: purpose for purpose in TRUSTED_FOR}
    stated = frozenset(known[one] for one in anchor.purposes if one in known)
    return stated if anchor.purposes else TRUSTED_FOR


def _has_ended(terms: Iterable[AnchorTerms], at: datetime) -> bool:
    terms = list(terms)
    return bool(terms) and all(one.ended(at) for one in terms)
