"""Issuing: how a credential gets its key and its certificate, in steps that a crash cannot tear apart.

1. The key: made by the signer, the same one at every asking.
2. Serial number and to-be-signed bytes, kept before the CA signs: what was ever signed is known and can be revoked.
3. The CA's signature.
4. Certificate, status, version and events, in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError, Internal, Kind
from services.kernel.values import new_id
from services.registry import outside
from services.registry.domain import chains
from services.registry.domain.authority import ISSUING, Authority
from services.registry.domain.credentials import (
    Certificate,
    CertificateState,
    Credential,
    CredentialStatus,
    IssuerKind,
    Unfinished,
    no_credential,
    require_not_revoked,
    retry_pause,
    status_after_certificate,
)
from services.registry.domain.parties import Agency, Subscriber
from services.registry.metrics import RegistryMetrics
from services.registry.outside import OutsideTrust
from services.registry.ports import Signer, Store, Unit
from services.registry.profiles import PROFILES
from services.registry.service.authorities import AuthorityService
from services.registry.service.chronicle import Chronicle
from services.registry.service.directory import DirectoryService
from services.registry.service.subjects import subject_facts
from services.registry.x509 import SubjectFacts, build_leaf_tbs, certificate_facts, random_serial

BACKDATED = timedelta(seconds=60)
"""A certificate's validity begins this long before it is made: whoever checks may have a clock that is behind."""
LEFT_ALONE = timedelta(seconds=10)
"""A credential this young is still in its own request's hands."""
RECONCILE_BATCH = 100


class IssuingService:
    """Brings a credential from "made" to "can sign"; asked twice or after a crash, it goes on where it stands."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        authorities: AuthorityService,
        directory: DirectoryService,
        chronicle: Chronicle,
        metrics: RegistryMetrics,
    ) -> None:
        """Bind the store, the keys, the CA, and where changes are told."""
        self._store, self._signer, self._authorities = store, signer, authorities
        self._directory, self._chronicle, self._metrics = directory, chronicle, metrics
        self._clock = authorities.clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def advance(self, credential_id: str) -> Credential:
        """Do every step that is not done yet; return the credential as it then is.

        Raise what the signer or the CA raises where a step cannot be done now; nothing done is lost.
        """
        async with self._alone(credential_id):
            credential = await self._with_key(credential_id)
            if credential.issuer is IssuerKind.OUTSIDE_CA or credential.certificate is not None:
                return credential
            if credential.status is CredentialStatus.REVOKED:
                return credential
            authority = await self._authorities.active(ISSUING)
            reserved = await self._reserve(credential, authority)
            signed = await self._signer.sign_certificate(ISSUING, reserved.tbs)
            return await self._finish(reserved, signed, authority)

    @asynccontextmanager
    async def _alone(self, credential_id: str) -> AsyncIterator[None]:
        # Two replicas may still meet; every write below holds its own against that.
        lock = self._locks.setdefault(credential_id, asyncio.Lock())
        async with lock:
            yield

    async def _with_key(self, credential_id: str) -> Credential:
        async with self._store.reading() as unit:
            credential = await _present(unit, credential_id)
        if credential.key_id or credential.status is CredentialStatus.REVOKED:
            return credential
        key = await self._signer.document_key(credential.id, credential.key_algorithm)
        async with self._store.transaction() as unit:
            credential = await _present(unit, credential_id, lock=True)
            if credential.key_id:
                return credential
            credential = replace(credential, key_id=key.id, spki=key.spki)
            await unit.credentials.update(credential, unfinished=credential.issuer is IssuerKind.OWN_CA)
        return credential

    async def _reserve(self, credential: Credential, authority: Authority) -> Certificate:
        async with self._store.transaction() as unit:
            # What is reserved after a revocation would be on no CRL.
            require_not_revoked(await _present(unit, credential.id, lock=True))
            present = await unit.credentials.open_certificate(credential.id)
            if present is not None:
                return present
            subscriber, agency = await owner(unit, credential)
            facts = await subject_facts(unit, subscriber, agency)
            now = self._clock()
            certificate = await asyncio.to_thread(
                self._to_be_signed, credential, facts, authority, now.replace(microsecond=0) - BACKDATED
            )
            await unit.credentials.add_certificate(certificate, now)
        return certificate

    def _to_be_signed(
        self, credential: Credential, facts: SubjectFacts, authority: Authority, not_before: datetime
    ) -> Certificate:
        serial = random_serial()
        not_after = min(not_before + timedelta(days=credential.validity_days), authority.not_after)
        tbs = build_leaf_tbs(
            PROFILES[credential.profile],
            facts,
            credential.spki,
            authority.certificate,
            authority.algorithm,
            self._authorities.plan.links(ISSUING),
            serial,
            not_before,
            not_after,
        )
        return Certificate(
            id=new_id("ce"),
            credential_id=credential.id,
            issuer_id=ISSUING,
            serial_number=f"{serial:x}",
            state=CertificateState.TBS_STORED,
            not_before=not_before,
            not_after=not_after,
            tbs=tbs,
            chain=(),
        )

    async def _finish(self, reserved: Certificate, signed: bytes, authority: Authority) -> Credential:
        chains.require_signed_certificate(signed, reserved.tbs, authority.certificate)
        issued = replace(reserved, state=CertificateState.ISSUED, chain=(signed, authority.certificate))
        async with self._store.transaction() as unit:
            credential = await _present(unit, reserved.credential_id, lock=True)
            if credential.certificate is not None:
                # Another replica finished the same step; its certificate has the same serial number and content.
                return credential
            await unit.credentials.finish_certificate(issued, self._clock())
            credential = await self._adopt(unit, credential, issued)
        await self._directory.announce(credential)
        return credential

    async def adopt_outside(
        self, unit: Unit, credential: Credential, chain: Sequence[bytes], client_id: str
    ) -> Credential:
        """Make an imported certificate the credential's current one, within the caller's transaction.

        Its chain is kept with the credential alone: what others are trusted, the operator's settings say. Raise
        FieldInvalid where it is not for this key and this subscriber, or not of a CA trusted here.
        """
        trust, (subscriber, _) = await self._authorities.trusted(unit), await owner(unit, credential)
        issued = await asyncio.to_thread(_imported, credential, subscriber, chain, trust, self._clock())
        await unit.credentials.add_certificate(issued, self._clock())
        return await self._adopt(unit, credential, issued, client_id)

    async def _adopt(
        self, unit: Unit, credential: Credential, issued: Certificate, client_id: str = ""
    ) -> Credential:
        credential = replace(
            credential,
            certificate=issued,
            status=status_after_certificate(credential),
            version=await unit.next_version(),
        )
        await unit.credentials.update(credential, unfinished=False)
        await self._chronicle.credential(
            unit, "certified", credential, client_id=client_id, reason=issued.serial_number
        )
        self._metrics.certificates_issued.labels(credential.profile).inc()
        return credential

    async def reconcile(self, log: FilteringBoundLogger) -> None:
        """Go on with what a crash or an absent signer left unfinished; what failed waits longer each time."""
        now = self._clock()
        async with self._store.reading() as unit:
            waiting = await unit.credentials.unfinished(now - LEFT_ALONE, now, RECONCILE_BATCH)
        for row in waiting:
            try:
                await self.advance(row.credential_id)
                log.info("credential_finished", credential_id=row.credential_id)
            except Exception as error:  # noqa: BLE001
                # Of whatever kind: what is wrong with one credential must keep neither the others nor the registry.
                if isinstance(error, DomainError) and error.kind is Kind.UNAVAILABLE:
                    log.info("issuing_waits", code=error.code, message=error.message)
                    # The others would fail the same way; the next turn begins with another one.
                    await self._put_off(row, row.tries, self._clock())
                    return
                await self._put_off(row, row.tries + 1, self._clock() + retry_pause(row.tries + 1))
                # The text of a foreign error may quote what it was about.
                told = error.message if isinstance(error, DomainError) else type(error).__name__
                log.warning(
                    "issuing_failed", credential_id=row.credential_id, tries=row.tries + 1, error=told
                )

    async def _put_off(self, row: Unfinished, tries: int, until: datetime) -> None:
        async with self._store.transaction() as unit:
            await unit.credentials.put_off(row.credential_id, tries, until)


def _imported(
    credential: Credential, subscriber: Subscriber, chain: Sequence[bytes], trust: OutsideTrust, at: datetime
) -> Certificate:
    outside.check_leaf(chain[0], credential.spki, at)
    outside.check_owner(chain[0], subscriber.tax_code, subscriber.citizen_number)
    path = outside.path_to_anchor(chain, trust, at)
    leaf = certificate_facts(chain[0])
    return Certificate(
        id=new_id("ce"),
        credential_id=credential.id,
        issuer_id=chains.outside_issuer_id(chain[0]),
        serial_number=leaf.serial_hex,
        state=CertificateState.ISSUED,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        tbs=b"",
        chain=tuple(der for der in path if not outside.is_self_issued(der)),
    )


async def _present(unit: Unit, credential_id: str, *, lock: bool = False) -> Credential:
    credential = await unit.credentials.get(credential_id, lock=lock)
    if credential is None:
        raise no_credential(credential_id)
    return credential


async def owner(unit: Unit, credential: Credential) -> tuple[Subscriber, Agency]:
    """Return a credential's subscriber and agency, which the database's foreign keys promise to be there."""
    subscriber = await unit.parties.subscriber(credential.subscriber_id)
    agency = await unit.parties.agency(credential.agency_id)
    if subscriber is None or agency is None:
        raise Internal(f"credential {credential.id} has no owner in the register")
    return subscriber, agency
