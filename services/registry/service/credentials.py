"""Credentials: made, shown, and the outside road (request out, certificate in)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.kernel.errors import (
    Conflict,
    CredentialWithoutCertificate,
    FieldInvalid,
    IdempotencyConflict,
)
from services.kernel.values import KeyAlgorithm, new_id
from services.registry.domain import access, chains
from services.registry.domain.access import Caller
from services.registry.domain.audit import canonical
from services.registry.domain.credentials import (
    Activation,
    CreationRequest,
    Credential,
    CredentialStatus,
    IssuerKind,
    no_credential,
    require_not_revoked,
    validity_days,
)
from services.registry.domain.paging import Page, Rows
from services.registry.domain.parties import Agency
from services.registry.ports import Signer, Store, Unit
from services.registry.profiles import profile_for
from services.registry.service.admission import acting, asking
from services.registry.service.chronicle import Chronicle, Clock
from services.registry.service.directory import DirectoryService
from services.registry.service.issuing import IssuingService, owner
from services.registry.service.parties import reached_agency, reached_subscriber
from services.registry.service.subjects import check_fit, subject_facts
from services.registry.x509 import build_certification_request_info

MAX_CHAIN = 8


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a caller says of a credential; checked here."""

    subscriber_id: str
    key_algorithm: KeyAlgorithm
    activation: Activation
    client_ids: Sequence[str]
    issuer: IssuerKind
    validity_days: int
    idempotency_key: str

    def sha256(self) -> bytes:
        """Return the digest by which the same request is known again."""
        fields: dict[str, object] = {
            "subscriber_id": self.subscriber_id,
            "key_algorithm": self.key_algorithm.label,
            "activation": self.activation.value,
            "client_ids": list(self.client_ids),
            "issuer": self.issuer.value,
            "validity_days": self.validity_days,
        }
        return hashlib.sha256(canonical(fields).encode()).digest()


async def reached_credential(
    unit: Unit, caller: Caller, credential_id: str, *, lock: bool = False
) -> Credential:
    """Return a credential of an agency that the caller reaches; raise CredentialNotFound for any other."""
    credential = await unit.credentials.get(credential_id[:64], lock=lock)
    agency = None if credential is None else await unit.parties.agency(credential.agency_id)
    if credential is None or agency is None or not caller.reaches(agency.path):
        raise no_credential(credential_id)
    return credential


class CredentialService:
    """Makes and shows credentials within the caller's part of the tree."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        issuing: IssuingService,
        directory: DirectoryService,
        chronicle: Chronicle,
        clock: Clock,
    ) -> None:
        """Bind the store, the keys, the steps of issuing, and where changes are told."""
        self._store, self._signer, self._issuing = store, signer, issuing
        self._directory, self._chronicle, self._clock = directory, chronicle, clock

    async def create(self, caller: Caller, new: NewCredential) -> Credential:
        """Make a credential once for each (client, idempotency key); asked again, go on with the same one."""
        caller.require("credentials:write")
        access.idempotency_key(new.idempotency_key)
        validity_days(new.validity_days)
        request = CreationRequest(caller.client_id, new.idempotency_key, new.sha256())
        made: Credential | None = None
        async with acting(self._store, caller) as unit:
            credential = await unit.credentials.made_by(caller.client_id, new.idempotency_key)
            if credential is None:
                credential = made = await self._make(unit, caller, new, request)
            elif credential.request.sha256 != request.sha256:
                raise IdempotencyConflict(
                    "this idempotency key made a credential by another request: use a new key",
                    field="idempotency_key",
                )
        if made is not None:
            await self._directory.announce(made)
        return await self._issuing.advance(credential.id)

    async def _make(
        self, unit: Unit, caller: Caller, new: NewCredential, request: CreationRequest
    ) -> Credential:
        subscriber, agency = await reached_subscriber(unit, caller, new.subscriber_id)
        profile = profile_for(subscriber.kind)
        check_fit(subscriber, profile)
        credential = Credential(
            id=new_id("cr"),
            agency_id=agency.id,
            subscriber_id=subscriber.id,
            status=CredentialStatus.PENDING,
            version=0,
            key_algorithm=new.key_algorithm,
            key_id="",
            spki=b"",
            activation=new.activation,
            client_ids=await _client_ids(unit, new.client_ids, agency),
            issuer=new.issuer,
            profile=profile.name,
            validity_days=new.validity_days or profile.validity_days,
            certificate=None,
            request=request,
            created_at=self._clock(),
        )
        credential = replace(credential, version=await unit.next_version())
        await unit.credentials.add(credential)
        await self._chronicle.credential(unit, "created", credential, client_id=caller.client_id)
        return credential

    async def get(self, caller: Caller, credential_id: str) -> Credential:
        """Return one credential."""
        caller.require("credentials:read")
        async with asking(self._store, caller) as unit:
            return await reached_credential(unit, caller, credential_id)

    async def list_below(self, caller: Caller, agency_id: str, page: Page) -> Rows[Credential]:
        """List credentials, where `agency_id` is given those of that agency."""
        caller.require("credentials:read")
        async with asking(self._store, caller) as unit:
            if agency_id:
                await reached_agency(unit, caller, agency_id)
            found = await unit.credentials.list_below(caller.agency_id, agency_id, page)
        return Rows.cut(found, page, lambda credential: credential.id)

    async def certification_request(self, caller: Caller, credential_id: str) -> bytes:
        """Return a PKCS#10 request for the credential's key, DER."""
        caller.require("credentials:write")
        async with acting(self._store, caller) as unit:
            credential = await reached_credential(unit, caller, credential_id)
        _require_outside(credential)
        require_not_revoked(credential)
        credential = await self._issuing.advance(credential.id)
        async with self._store.reading() as unit:
            subscriber, agency = await owner(unit, credential)
            facts = await subject_facts(unit, subscriber, agency)
        info = build_certification_request_info(facts, credential.spki)
        request = await self._signer.certification_request(credential.key_id, info)
        chains.require_signed_request(request)
        return request

    async def import_certificate(
        self, caller: Caller, credential_id: str, chain: Sequence[bytes]
    ) -> Credential:
        """Take the certificate that an outside CA issued for the credential's key; it replaces the one before."""
        caller.require("credentials:write")
        if not 1 <= len(chain) <= MAX_CHAIN:
            raise FieldInvalid(
                f"certificate_chain must hold 1 to {MAX_CHAIN} certificates", field="certificate_chain"
            )
        async with acting(self._store, caller) as unit:
            credential = await reached_credential(unit, caller, credential_id, lock=True)
            _require_outside(credential)
            require_not_revoked(credential)
            if not credential.key_id:
                raise CredentialWithoutCertificate(
                    "the credential has no key yet: ask for its certification request first", id=credential.id
                )
            credential = await self._issuing.adopt_outside(unit, credential, chain, caller.client_id)
        await self._directory.announce(credential)
        return credential


async def _client_ids(unit: Unit, client_ids: Sequence[str], agency: Agency) -> tuple[str, ...]:
    if len(client_ids) > access.MAX_CLIENT_IDS:
        raise FieldInvalid(f"at most {access.MAX_CLIENT_IDS} clients", field="client_ids")
    for index, client_id in enumerate(client_ids):
        client = await unit.parties.client(client_id[:64])
        # A client of another branch could never use it: naming one is a mistake.
        if client is None or client.agency_id not in agency.path:
            raise FieldInvalid(
                "no such client of the subscriber's agency or one above it", field=f"client_ids[{index}]"
            )
    return tuple(dict.fromkeys(client_ids))


def _require_outside(credential: Credential) -> None:
    if credential.issuer is not IssuerKind.OUTSIDE_CA:
        raise Conflict("the registry's own CA issues this credential's certificates", id=credential.id)
