"""The two-level CA: made once, step by step, each step kept before the next begins."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import Internal, ServiceUnavailable
from services.registry.domain import chains
from services.registry.domain.anchors import OWN, Anchor, TrustList
from services.registry.domain.audit import PLATFORM
from services.registry.domain.authority import (
    AUTHORITIES,
    ISSUING,
    ROOT,
    Authority,
    AuthorityState,
    Crl,
    require_known,
)
from services.registry.outside import OutsideTrust
from services.registry.ports import Signer, Store, Unit
from services.registry.service.chronicle import Chronicle, Clock
from services.registry.service.outside_anchors import OutsideAnchors
from services.registry.x509 import CaLinks, CaName, build_issuing_tbs, build_root_tbs, random_serial

BACKDATED = timedelta(hours=1)
"""A CA's validity begins this long before it is made: whoever checks may have a clock that is behind."""


@dataclass(frozen=True, slots=True)
class AuthorityPlan:
    """Name and validity of one CA to be made."""

    name: CaName
    validity: timedelta


@dataclass(frozen=True, slots=True)
class CaPlan:
    """Both CAs, the public address of what they publish, and what is trusted of others."""

    root: AuthorityPlan
    issuing: AuthorityPlan
    public_base_url: str
    outside: OutsideAnchors

    def links(self, name: str) -> CaLinks:
        """Return where outsiders find CRL and certificate of a CA."""
        return CaLinks(
            crl_url=f"{self.public_base_url}/crl/{name}.crl",
            aia_url=f"{self.public_base_url}/aia/{name}.cer",
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """Everything that a verifier needs of the register."""

    anchors: list[Anchor]
    intermediates: list[bytes]
    crls: list[bytes]
    lists: list[TrustList]


class AuthorityService:
    """Makes the CA at first start and shows what is public of it."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        plan: CaPlan,
        chronicle: Chronicle,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """Bind the store, the keys and the plan."""
        self._store, self._signer, self.plan = store, signer, plan
        self._chronicle, self.clock, self._log = chronicle, clock, log

    async def ensure(self) -> None:
        """Make root and issuing CA where they are not there; after a crash it goes on where it stopped.

        Raise what the signer raises where it cannot be reached; asked again, it continues.
        """
        for name, issuer in ((ROOT, ROOT), (ISSUING, ROOT)):
            async with self._store.reading() as unit:
                present = await unit.authorities.get(name)
            # 1. The key: the signer makes it once and answers the same one ever after.
            # 2. Serial number and to-be-signed bytes, kept before anything is signed.
            authority = present or await self._reserve(name, issuer)
            if authority.state is AuthorityState.ACTIVE:
                continue
            # 3. The signature.
            certificate = await self._signer.sign_certificate(issuer, authority.tbs)
            # 4. The certificate.
            await self._finish(authority, certificate)

    async def _reserve(self, name: str, issuer: str) -> Authority:
        key = await self._signer.authority_key(name)
        serial, not_before = random_serial(), self.clock().replace(microsecond=0) - BACKDATED
        plan = self.plan.root if name == ROOT else self.plan.issuing
        not_after = not_before + plan.validity
        if name == ROOT:
            tbs = await asyncio.to_thread(
                build_root_tbs, plan.name, key.spki, key.algorithm, serial, not_before, not_after
            )
        else:
            above = await self.active(issuer)
            not_after = min(not_after, above.not_after)
            tbs = await asyncio.to_thread(
                build_issuing_tbs,
                plan.name,
                key.spki,
                above.certificate,
                above.algorithm,
                self.plan.links(issuer),
                serial,
                not_before,
                not_after,
            )
        authority = Authority(
            name=name,
            algorithm=key.algorithm,
            issuer=issuer,
            state=AuthorityState.TBS_STORED,
            serial_number=f"{serial:x}",
            not_before=not_before,
            not_after=not_after,
            tbs=tbs,
            certificate=b"",
        )
        async with self._store.transaction() as unit:
            if await unit.authorities.add(authority, self.clock()):
                return authority
            # Another replica was quicker: its bytes are the ones to be signed.
            stored = await unit.authorities.get(name)
        if stored is None:
            raise Internal(f"the CA {name} is neither there nor can it be added")
        return stored

    async def _finish(self, authority: Authority, certificate: bytes) -> None:
        issuer = (
            b"" if authority.name == authority.issuer else (await self.active(authority.issuer)).certificate
        )
        chains.require_signed_certificate(certificate, authority.tbs, issuer)
        async with self._store.transaction() as unit:
            if not await unit.authorities.set_certificate(authority.name, certificate):
                return
            await self._chronicle.record(
                unit,
                "kyso.ca.created",
                agency_id=PLATFORM,
                facts={
                    "ca": authority.name,
                    "serial_number": authority.serial_number,
                    "sha256": chains.fingerprint(certificate),
                },
            )
        self._log.info("ca_created", ca=authority.name, serial_number=authority.serial_number)

    async def published(self) -> bool:
        """Tell whether both CAs are there and each has published a CRL."""
        async with self._store.reading() as unit:
            return all([await unit.authorities.newest_crl(name) is not None for name in AUTHORITIES])

    async def active(self, name: str) -> Authority:
        """Return a CA that can sign; raise ServiceUnavailable where it is not made yet."""
        async with self._store.reading() as unit:
            authority = await unit.authorities.get(name)
        if authority is None or authority.state is not AuthorityState.ACTIVE:
            raise ServiceUnavailable(f"the CA {name} is not there yet; try again shortly", id=name)
        return authority

    async def trusted(self, unit: Unit) -> OutsideTrust:
        """Return from where certificates of others are taken: what the settings trust, and our own root."""
        root = await unit.authorities.get(ROOT)
        outside = self.plan.outside.for_signatures(self.clock())
        own = (root.certificate,) if root is not None and root.certificate else ()
        return OutsideTrust((*outside.anchors, *own), outside.intermediates)

    async def refresh_trust_lists(self) -> None:
        """Take the trust lists that are newer than those in use."""
        await self.plan.outside.refresh(self._store, self._chronicle, self._log)

    async def certificate(self, name: str) -> bytes:
        """Return a CA's certificate; raise NotFound for another name, ServiceUnavailable before it is made."""
        require_known(name)
        return (await self.active(name)).certificate

    async def crl(self, name: str) -> Crl:
        """Return a CA's newest CRL; raise NotFound for another name, ServiceUnavailable before there is one."""
        require_known(name)
        async with self._store.reading() as unit:
            newest = await unit.authorities.newest_crl(name)
        if newest is None:
            raise ServiceUnavailable(f"the CA {name} has published no CRL yet; try again shortly", id=name)
        return newest

    async def trust(self) -> Trust:
        """Return anchors, CA certificates and CRLs; less while the CA is not made yet."""
        async with self._store.reading() as unit:
            root, issuing = await unit.authorities.get(ROOT), await unit.authorities.get(ISSUING)
            crls = [await unit.authorities.newest_crl(name) for name in (ROOT, ISSUING)]
        return Trust(
            anchors=[
                *([Anchor(root.certificate, OWN)] if root and root.certificate else []),
                *self.plan.outside.anchors,
            ],
            intermediates=[
                *([issuing.certificate] if issuing and issuing.certificate else []),
                *self.plan.outside.intermediates,
            ],
            crls=[crl.der for crl in crls if crl is not None],
            lists=list(self.plan.outside.lists),
        )
