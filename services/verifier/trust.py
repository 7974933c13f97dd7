"""Anchors, CA certificates and CRLs from the registry, by RPC, kept for a short while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from kyso.v1 import registry_pb2
from services.kernel.errors import DomainError, ServiceUnavailable
from services.verifier.config import TrustSettings
from services.verifier.ports import TrustMaterial


class PkiStub(Protocol):
    """The one call of the registry's PkiService that is needed."""

    def GetTrust(self, request: registry_pb2.GetTrustRequest) -> Any:  # noqa: N802 - the name of the RPC
        """Answers GetTrustResponse when awaited."""
        ...


class RegistryTrust:
    """TrustSource over the registry. Material lives at most `max_age_seconds` beyond the last word of the registry."""

    def __init__(self, registry: PkiStub, settings: TrustSettings, clock: Callable[[], datetime]) -> None:
        """`clock` answers aware UTC."""
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
        """Health check: None when there are fresh anchors."""
        try:
            material = await self.current()
        except ServiceUnavailable:
            return self._reason
        return None if material.anchors else "the registry knows no trust anchor"

    async def _fetch(self) -> None:
        try:
            answer = await self._registry.GetTrust(registry_pb2.GetTrustRequest())
        except DomainError as error:
            self._reason = f"the registry does not answer GetTrust ({error.code})"
            return
        fetched = TrustMaterial(
            anchors=tuple(anchor.certificate for anchor in answer.anchors),
            intermediates=tuple(answer.intermediates),
            crls=tuple(answer.crls),
            sha1_links=self._settings.sha1_links,
            sha1_cutoff=self._settings.sha1_cutoff,
        )
        self._fetched_at = self._clock()
        # The same object while nothing changed: by its identity the workers tell whether they have it already.
        if fetched != self._material:
            self._material = fetched
