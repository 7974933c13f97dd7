"""CAdES baseline signatures (ETSI EN 319 122-1): beside the content, round it, or added to an existing container."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat import asn1

from services.kernel.errors import BodyTooLarge, FieldInvalid
from services.signer.formats import ber, cades_archive, cades_levels, cms, cms_values
from services.signer.formats.cms_container import SignedData, SignerInfo, read_container
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Prepared, Role
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import (
        Document,
        Evidence,
        EvidenceNeeded,
        Need,
        Signed,
        TimeStampNeeded,
    )
    from services.signer.formats.parameters import SignatureParameters

MAX_CONTENT_BYTES = 16 << 20
"""Of a content inside its container."""
COUNTER_SIGNATURE = ber.oid("1.2.840.113549.1.9.6")


class CadesBaseline:
    """Makes the .p7s or .p7m container: CMS SignedData in DER, certificates inside."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Hash what is signed and encode the signed attributes, which are the state."""
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        digest = parameters.algorithm.digest
        kind: str | None
        match parameters.envelope.cms_relation:
            case "PARALLEL":
                signed, kind = _parallel_content(document, digest)
                data = _existing(document)
                for info in map(SignerInfo.read, data.signers):
                    cms_values.require_valid(data, info)
            case "COUNTER":
                if parameters.envelope.level is not Level.B_B:
                    raise FieldInvalid(
                        "a counter-signature is made at level B-B: extend the container afterwards",
                        field="level",
                    )
                signed, kind = digest.digest(_counter_signed(document)[1].signature_value), None
            case _:
                signed, kind = _own_content(document, parameters).hash(digest).digest(), cms.ID_DATA
        attributes = cms.signed_attributes(parts, signed, parameters.signing_time, kind)
        return Prepared(digest.digest(attributes), attributes)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the container together and verify it over what was signed, hashed again."""
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        match parameters.envelope.cms_relation:
            case "PARALLEL":
                return _with_signer(document, parts, cms.signer_info(parts, state, signature))
            case "COUNTER":
                return _with_counter_signature(document, parts, cms.signer_info(parts, state, signature))
        content = _own_content(document, parameters)
        if parameters.envelope.packaging == "ENVELOPING":
            container = cms.assemble(parts, state, signature, content.read())
            inside = SignedData.read(container).content
            cms.check(container, parts, parameters.algorithm.digest.digest(inside or b""))
            return container
        container = cms.assemble(parts, state, signature)
        cms.check(container, parts, content.hash(parameters.algorithm.digest).digest())
        return container

    def next_need(self, signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what must be had next to reach a level."""
        return cades_levels.next_need(signed, level, digest)

    def add_time_stamp(self, signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
        """Put in a time-stamp token; return the new container."""
        return cades_levels.add_time_stamp(signed, need, token)

    def add_evidence(self, signed: Signed, _need: EvidenceNeeded, evidence: Evidence) -> bytes:
        """Put in certificates and revocation values; return the new container."""
        return cades_levels.add_evidence(signed, evidence)


def _own_content(document: Document, parameters: SignatureParameters) -> Document:
    """Return the one file that is signed by itself."""
    if len(document.files) != 1 or document.role is not Role.CONTENT:
        raise FieldInvalid(
            "one file is signed by itself: for an existing container say with cms_relation what the signature is "
            "to the signatures in it",
            field="cms_relation",
        )
    if parameters.envelope.packaging == "ENVELOPING":
        if document.known_digest is not None:
            raise FieldInvalid(
                "this packaging needs the content itself, not its digest", field="content_digest"
            )
        if document.size > MAX_CONTENT_BYTES:
            raise BodyTooLarge(
                f"a content inside its signature is at most {MAX_CONTENT_BYTES} bytes: sign it detached",
                limit=MAX_CONTENT_BYTES,
            )
    return document


def _existing(document: Document) -> SignedData:
    """Read the container that is the part SIGNATURE, or the only file."""
    files = document.role_of(Role.SIGNATURE) or (document.files if len(document.files) == 1 else ())
    if len(files) != 1:
        raise FieldInvalid("send the existing container as the part signature, once", field="signature")
    data = SignedData.read(read_container(files[0]))
    cades_levels.require_extendable(data)
    return data


def _parallel_content(document: Document, digest: DigestAlgorithm) -> tuple[bytes, str]:
    """Return the digest of what the existing signatures are over, and its content type.

    Raises FieldInvalid where the content sent along is another one.
    """
    data = _existing(document)
    try:
        kind = asn1.decode_der(x509.ObjectIdentifier, data.content_type).dotted_string
    except ValueError as error:
        raise ber.damaged("the type of its content is no OBJECT IDENTIFIER", 0) from error
    inside = data.content
    if inside is not None and len(document.files) > 1 and _beside(document, digest) != digest.digest(inside):
        raise FieldInvalid("the content sent along is not the one in the container", field="content")
    for encoded in data.signers:
        info = SignerInfo.read(encoded)
        algorithm = cades_archive.ALGORITHMS.get(ber.children(ber.whole(info.digest_algorithm))[0].encoded)
        if algorithm is None or not info.signed_attributes:
            continue
        known = algorithm.digest(inside) if inside is not None else _beside(document, algorithm)
        if known != info.message_digest:
            raise FieldInvalid("the content is not what the existing signatures are over", field="content")
        break
    return digest.digest(inside) if inside is not None else _beside(document, digest), kind


def _beside(document: Document, digest: DigestAlgorithm) -> bytes:
    """Hash the content that a container does not hold itself."""
    if document.known_digest is not None:
        return document.hash(digest).digest()
    contents = document.role_of(Role.CONTENT) if len(document.files) > 1 else ()
    if len(contents) != 1:
        raise FieldInvalid(
            "the existing signatures are detached: send the content that they are over as the part content, once",
            field="content",
        )
    return contents[0].hash(digest).digest()


def _with_signer(document: Document, parts: cms.SignerParts, signer: bytes) -> bytes:
    """Add a SignerInfo to the existing ones, which keep their bytes."""
    data = _existing(document)
    grown = replace(
        data,
        digest_algorithms=tuple(ber.extended(data.digest_algorithms, (parts.digest_algorithm,))),
        certificates=tuple(ber.extended(data.certificates, parts.certificates)),
        signers=tuple(ber.extended(data.signers, (signer,))),
    )
    container = grown.encode()
    again = SignedData.read(container)
    if not {*data.signers, signer} <= set(again.signers) or again.content_info != data.content_info:
        raise SelfCheckFailed("an existing signature changed while another one was added")
    digest, _ = _parallel_content(document, parts.algorithm.digest)
    cms.check_signer(signer, parts, digest)
    return container


def _counter_signed(document: Document) -> tuple[SignedData, SignerInfo]:
    """Read the one signature that is counter-signed (RFC 5652 section 11.4)."""
    data = _existing(document)
    if len(data.signers) != 1:
        raise FieldInvalid(
            f"the container has {len(data.signers)} signatures: a counter-signature is to exactly one; "
            "add a parallel signature instead",
            field="cms_relation",
        )
    return data, SignerInfo.read(data.signers[0])


def _with_counter_signature(document: Document, parts: cms.SignerParts, signer: bytes) -> bytes:
    data, info = _counter_signed(document)
    grown = replace(
        data.with_signer(0, info.with_unsigned(COUNTER_SIGNATURE, signer)),
        certificates=tuple(ber.extended(data.certificates, parts.certificates)),
    )
    container = grown.encode()
    again = SignerInfo.read(SignedData.read(container).signers[0])
    found = [value for each in again.attributes(COUNTER_SIGNATURE, signed=False) for value in each.values]
    if again.core != info.core or signer not in found:
        raise SelfCheckFailed("the counter-signature is not in the finished container")
    cms.check_signer(signer, parts, parts.algorithm.digest.digest(again.signature_value))
    return container
