"""The registry, as the signer asks it: credentials and the public keys of access tokens."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from kyso.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from services.kernel.errors import CredentialNotFound, Internal, NotFound
from services.signer.directory import Answer
from services.signer.domain import CertificateChain, Credential, CredentialStatus

MAX_CHAIN = 8
KEPT_CHAINS = 10_000

_STATUS = {
    common_pb2.CREDENTIAL_STATUS_PENDING: CredentialStatus.PENDING,
    common_pb2.CREDENTIAL_STATUS_ACTIVE: CredentialStatus.ACTIVE,
    common_pb2.CREDENTIAL_STATUS_HELD: CredentialStatus.HELD,
    common_pb2.CREDENTIAL_STATUS_REVOKED: CredentialStatus.REVOKED,
}
_ACTIVATION = {common_pb2.ACTIVATION_CLIENT: "client"}


class RegistryRpc:
    """Questions to the registry over its channel."""

    def __init__(self, channel: Any, replica: str) -> None:
        """`replica` is what the registry records as the reader of a credential."""
        self._directory = registry_pb2_grpc.DirectoryServiceStub(channel)
        self._tokens = registry_pb2_grpc.TokenServiceStub(channel)
        self._pki = registry_pb2_grpc.PkiServiceStub(channel)
        self._replica = replica
        self._chains: OrderedDict[bytes, CertificateChain] = OrderedDict()

    async def resolve(self, credential_id: str) -> Answer:
        """Return a credential's present state; CredentialNotFound, or why the registry did not answer."""
        request = registry_pb2.ResolveCredentialRequest(
            credential_id=credential_id, replica=self._replica, cacheable=True
        )
        try:
            answer = await self._directory.ResolveCredential(request)
        except (NotFound, CredentialNotFound) as error:
            raise CredentialNotFound(f"no credential {credential_id}", credential_id=credential_id) from error
        return Answer(self._credential(answer), answer.head)

    async def token_keys(self) -> str:
        """Return the JWK Set of the keys that sign access tokens."""
        answer = await self._tokens.GetTokenKeys(registry_pb2.GetTokenKeysRequest())
        jwks: str = answer.jwks
        return jwks

    async def time_stamp_chain(self, name: str) -> tuple[bytes, ...]:
        """Return the certificates of a time-stamp unit, DER, the unit's first; NotFound until they are issued."""
        request = registry_pb2.GetTimeStampCertificateRequest(name=name)
        answer = await self._pki.GetTimeStampCertificate(request)
        return tuple(answer.certificate_chain)

    async def probe(self) -> None:
        """Return where the registry answers at all."""
        await self.token_keys()

    def _credential(self, answer: registry_pb2.ResolveCredentialResponse) -> Credential:
        status, activation = _STATUS.get(answer.status), _ACTIVATION.get(answer.activation)
        if status is None or activation is None:
            raise Internal(
                "the registry answered a credential whose status or activation this signer does not know"
            )
        return Credential(
            id=answer.credential_id,
            version=answer.version,
            status=status,
            agency_id=answer.agency_id,
            agency_path=tuple(answer.agency_path),
            client_ids=frozenset(answer.client_ids),
            activation=activation,
            key_id=answer.key_id,
            chain=self._chain(answer.certificate_chain) if answer.certificate_chain else None,
        )

    def _chain(self, certificates: Sequence[bytes]) -> CertificateChain:
        name = hashlib.sha256(b"".join(certificates)).digest()
        kept = self._chains.get(name)
        if kept is None:
            kept = self._chains[name] = parse_chain(certificates)
            if len(self._chains) > KEPT_CHAINS:
                self._chains.popitem(last=False)
        return kept


def parse_chain(certificates: Sequence[bytes]) -> CertificateChain:
    """Parse certificates, DER, leaf first; raise Internal where the registry sent what is none."""
    if len(certificates) > MAX_CHAIN:
        raise Internal(f"the registry answered a chain of more than {MAX_CHAIN} certificates")
    try:
        parsed = [x509.load_der_x509_certificate(der) for der in certificates]
        leaf = parsed[0]
        spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:
        raise Internal("the registry answered a chain that does not parse") from error
    return CertificateChain(
        der=tuple(certificates),
        sha256=hashlib.sha256(b"".join(certificates)).digest(),
        serial_number=f"{leaf.serial_number:x}",
        spki_sha256=hashlib.sha256(spki).digest(),
        signer_name=str(names[0].value) if names else "",
        validity=tuple((_utc(one.not_valid_before_utc), _utc(one.not_valid_after_utc)) for one in parsed),
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)
