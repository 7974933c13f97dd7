"""CAdES: what is refused, and how; containers that were damaged on their way or made to do harm."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import cms as reader

from services.kernel.errors import (
    BodyTooLarge,
    DocumentDamaged,
    DocumentLocked,
    DomainError,
    EvidenceUnavailable,
    FieldInvalid,
)
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import ber, cades_levels, cms, cms_container
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import (
    Document,
    Evidence,
    EvidenceNeeded,
    Role,
    Signed,
    TimeStampNeeded,
)
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import TestSigner, signed, signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.signer.formats.parameters import SignatureParameters

CONTENT = "Công văn số 15/2026\n".encode()
FORM = CadesBaseline()
SHA256 = DigestAlgorithm.SHA256
OTHER = signer(KeyAlgorithm.ECDSA_P256, "Trần Thị Ký")
ECDSA = SigningAlgorithm(SignatureScheme.ECDSA, SHA256)


def sign(**options: Any) -> bytes:
    who = signer()
    return signed(FORM, CONTENT, who, who.parameters(form="CADES", **options))


def file(data: bytes, role: Role = Role.CONTENT, *others: Document) -> Document:
    return Document(BytesIO(data), len(data), role=role, others=others)


def complete(document: Document, who: TestSigner, parameters: SignatureParameters) -> bytes:
    prepared = FORM.prepare(document, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    return FORM.complete(document, parameters, prepared.state, value)


def parallel(container: bytes, *others: Document) -> bytes:
    parameters = OTHER.parameters(ECDSA, "CADES", cms_relation="PARALLEL")
    return complete(file(container, Role.SIGNATURE, *others), OTHER, parameters)


def counter(container: bytes, **options: Any) -> bytes:
    parameters = OTHER.parameters(ECDSA, "CADES", cms_relation="COUNTER", **options)
    return complete(file(container, Role.SIGNATURE), OTHER, parameters)


def test_a_content_inside_its_signature_has_a_limit() -> None:
    parameters = signer().parameters(form="CADES", packaging="ENVELOPING")
    with pytest.raises(BodyTooLarge, match="sign it detached") as caught:
        FORM.prepare(Document(BytesIO(), (16 << 20) + 1), parameters)
    assert caught.value.data["limit"] == 16 << 20


def test_a_content_that_is_not_here_cannot_be_inside() -> None:
    away = replace(Document.of(b""), known_digest=Digest(SHA256, bytes(32)))
    with pytest.raises(FieldInvalid, match="the content itself"):
        FORM.prepare(away, signer().parameters(form="CADES", packaging="ENVELOPING"))


@pytest.mark.parametrize(
    "document", [file(CONTENT, Role.SIGNATURE), file(CONTENT, Role.CONTENT, file(b"", Role.SIGNATURE))]
)
def test_an_existing_container_wants_a_relation(document: Document) -> None:
    with pytest.raises(FieldInvalid) as caught:
        FORM.prepare(document, signer().parameters(form="CADES"))
    assert caught.value.data["field"] == "cms_relation"


def test_a_parallel_signature_is_over_the_same_content_only() -> None:
    with pytest.raises(FieldInvalid, match="send the content"):
        parallel(sign())
    with pytest.raises(FieldInvalid, match="not what the existing"):
        parallel(sign(), file(b"another"))
    container = parallel(sign(), file(CONTENT))
    assert len(cms_container.SignedData.read(container).signers) == 2
    parameters = OTHER.parameters(ECDSA, "CADES", cms_relation="PARALLEL")
    away = replace(file(sign(), Role.SIGNATURE), known_digest=Digest(SHA256, SHA256.digest(CONTENT)))
    assert len(cms_container.SignedData.read(complete(away, OTHER, parameters)).signers) == 2
    attached = sign(packaging="ENVELOPING")
    assert len(cms_container.SignedData.read(parallel(attached, file(CONTENT))).signers) == 2
    with pytest.raises(FieldInvalid, match="not the one in the container"):
        parallel(attached, file(b"another"))
    nobody = file(CONTENT, Role.CONTENT, file(CONTENT))
    with pytest.raises(FieldInvalid, match="the part signature, once"):
        FORM.prepare(nobody, parameters)


def test_one_of_several_signatures_is_not_counter_signed() -> None:
    both = parallel(sign(), file(CONTENT))
    with pytest.raises(FieldInvalid, match="has 2 signatures"):
        counter(both)
    with pytest.raises(FieldInvalid, match="extend the container afterwards"):
        counter(sign(), level=Level.B_T)


def test_a_counter_signature_changed_between_the_steps_is_not_released() -> None:
    parameters = OTHER.parameters(ECDSA, "CADES", cms_relation="COUNTER")
    prepared = FORM.prepare(file(sign(), Role.SIGNATURE), parameters)
    value = OTHER.sign(prepared.digest, ECDSA)
    with pytest.raises(SelfCheckFailed, match="another digest"):
        FORM.complete(file(counter_base(), Role.SIGNATURE), parameters, prepared.state, value)


def counter_base() -> bytes:
    return signed(FORM, b"another", signer(), signer().parameters(form="CADES"))


def older_archive_form() -> bytes:
    return cms.with_unsigned_attribute(sign(), "1.2.840.113549.1.9.16.2.48", b"\x05\x00")


def test_a_container_with_an_older_archive_time_stamp_is_left_alone() -> None:
    old = older_archive_form()
    with pytest.raises(DocumentLocked, match="before EN 319 122-1"):
        FORM.next_need(Signed(file(old, Role.SIGNATURE)), Level.B_T, SHA256)
    with pytest.raises(DocumentLocked):
        parallel(old, file(CONTENT))
    with pytest.raises(DocumentLocked):
        counter(old)


def test_an_archive_time_stamp_needs_the_content() -> None:
    reached = stamping.raise_to(FORM, Signed(file(sign())), Level.B_LT)
    for others in ((), (file(b"another"),)):
        with pytest.raises(FieldInvalid, match="send the content"):
            FORM.next_need(Signed(file(reached, Role.CONTENT, *others)), Level.B_LTA, SHA256)
    away = replace(file(reached), known_digest=Digest(DigestAlgorithm.SHA512, bytes(64)))
    with pytest.raises(FieldInvalid, match="must be by SHA-256"):
        FORM.next_need(Signed(away), Level.B_LTA, SHA256)


def test_a_changed_content_inside_is_not_archived() -> None:
    reached = stamping.raise_to(FORM, Signed(file(sign(packaging="ENVELOPING"))), Level.B_LT)
    changed = reached.replace(CONTENT, CONTENT.swapcase())
    with pytest.raises(DocumentDamaged, match="not what was signed"):
        FORM.next_need(Signed(file(changed)), Level.B_LTA, SHA256)


def test_evidence_without_revocation_values_is_no_level() -> None:
    stamped = stamping.raise_to(FORM, Signed(file(sign())), Level.B_T)
    at = Signed(file(stamped))
    need = FORM.next_need(at, Level.B_LT, SHA256)
    assert isinstance(need, EvidenceNeeded)
    assert need.certificates[:2] == (signer().chain[0], stamping.time_stamp_unit().certificate)
    with pytest.raises(EvidenceUnavailable, match="no revocation value"):
        FORM.add_evidence(at, need, Evidence())
    partly = Evidence(ocsp_responses=(stamping.ocsp(signer().chain[0]),))
    with pytest.raises(EvidenceUnavailable):
        FORM.add_evidence(at, need, partly)
    for whole in (Evidence(crls=(stamping.crl(),)), stamping.evidence(need.certificates)):
        container = FORM.add_evidence(at, need, whole)
        assert FORM.next_need(Signed(at.document, container), Level.B_LT, SHA256) is None


def test_a_token_over_another_imprint_is_not_put_in() -> None:
    at = Signed(file(CONTENT), sign())
    need = FORM.next_need(at, Level.B_T, SHA256)
    assert isinstance(need, TimeStampNeeded)
    with pytest.raises(SelfCheckFailed, match="not over the signature value"):
        FORM.add_time_stamp(at, need, stamping.token(bytes(32), SHA256))
    ready = Signed(at.document, stamping.raise_to(FORM, at, Level.B_LT))
    archive = FORM.next_need(ready, Level.B_LTA, SHA256)
    assert isinstance(archive, TimeStampNeeded)
    with pytest.raises(SelfCheckFailed, match="not over the finished signature"):
        FORM.add_time_stamp(ready, archive, stamping.token(bytes(32), SHA256))
    other = stamping.token(bytes(64), DigestAlgorithm.SHA512)
    with pytest.raises(SelfCheckFailed, match="by its own algorithm"):
        FORM.add_time_stamp(ready, archive, other)


def indefinite(token: bytes) -> bytes:
    """Write a token's outer values without lengths, as a time-stamp authority may."""
    outer = ber.children(ber.whole(token))
    return b"\x30\x80" + outer[0].encoded + b"\xa0\x80" + outer[1].contents + b"\0\0\0\0"


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LTA])
def test_odd_tokens_are_taken_and_broken_ones_refused(level: Level) -> None:
    at = Signed(file(CONTENT), sign())
    if level is Level.B_LTA:
        at = Signed(at.document, stamping.raise_to(FORM, at, Level.B_LT))
    need = FORM.next_need(at, level, SHA256)
    assert isinstance(need, TimeStampNeeded)
    token = stamping.token(need.imprint, SHA256)
    data = cms_container.SignedData.read(token)
    nobody = replace(data, signers=()).encode()
    twice = replace(data, signers=data.signers * 2).encode()
    nothing = replace(data, content_info=ber.encode(0x30, ber.oid(cms.ID_DATA))).encode()
    for broken in (b"", token[:-1], token + b"\0", b"\x30\x80" * 500, sign(), nothing):
        with pytest.raises(DocumentDamaged):
            FORM.add_time_stamp(at, need, broken)
    assert FORM.add_time_stamp(at, need, indefinite(token))
    for wrong in (nobody, twice) if level is Level.B_LTA else ():
        with pytest.raises(DocumentDamaged, match="signers"):
            FORM.add_time_stamp(at, need, wrong)


def test_b_b_needs_nothing_and_answers_end_the_asking() -> None:
    at = Signed(file(CONTENT), sign())
    assert FORM.next_need(at, Level.B_B, SHA256) is None
    for level in (Level.B_T, Level.B_LT, Level.B_LTA):
        reached = Signed(at.document, stamping.raise_to(FORM, at, level))
        assert FORM.next_need(reached, level, SHA256) is None


def test_a_content_that_is_a_container_itself_is_archived_like_any_other() -> None:
    inner = stamping.raise_to(FORM, Signed(file(CONTENT), sign()), Level.B_LTA)
    who = signer()
    outer = signed(FORM, inner, who, who.parameters(form="CADES"))
    archived = stamping.raise_to(FORM, Signed(file(inner), outer), Level.B_LTA)
    info = cms_container.SignerInfo.read(cms_container.SignedData.read(archived).signers[0])
    assert len(info.attributes(cades_levels.ARCHIVE_TIME_STAMP_V3, signed=False)) == 1


CONTAINERS = {
    "detached": sign(),
    "attached": sign(packaging="ENVELOPING"),
    "archived": stamping.raise_to(FORM, Signed(file(CONTENT), sign()), Level.B_LTA),
    "counter-signed": counter(sign()),
}


def everything(data: bytes) -> None:
    """Put a container to every use."""
    uses: list[Callable[[], object]] = [
        lambda: FORM.next_need(Signed(file(data, Role.SIGNATURE, file(CONTENT))), Level.B_LTA, SHA256),
        lambda: parallel(data, file(CONTENT)),
        lambda: counter(data),
        lambda: cms.with_unsigned_attribute(data, "1.2.3", b"\x05\x00"),
        lambda: cms.signature_value(data),
        lambda: cms.embedded_certificates(data),
        lambda: cades_levels.token_imprint(data),
    ]
    for use in uses:
        try:
            use()
        except DomainError as error:
            assert error.code not in {"INTERNAL", "SELF_CHECK_FAILED"}  # noqa: PT017


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_cut_anywhere_is_refused(name: str) -> None:
    whole = CONTAINERS[name]
    for length in range(0, len(whole), 7):
        with pytest.raises(DocumentDamaged):
            FORM.next_need(Signed(file(whole[:length], Role.SIGNATURE)), Level.B_T, SHA256)


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_with_broken_bytes_raises_nothing_untyped(name: str) -> None:
    chance = random.Random(15)  # noqa: S311 - the same damage every time
    for _ in range(150):
        broken = bytearray(CONTAINERS[name])
        for _ in range(chance.randint(1, 3)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        everything(bytes(broken))


def nested(depth: int, tag: int = 0x30) -> bytes:
    value = b""
    for _ in range(depth):
        value = ber.encode(tag, value)
    return value


def with_signers(count: int) -> bytes:
    data = cms_container.SignedData.read(sign())
    return replace(data, signers=data.signers * count).encode()


OID = ber.oid("1.2.840.113549.1.7.2")
HOSTILE = {
    "nothing": b"",
    "not BER": b"%PDF-1.7",
    "bytes behind": CONTAINERS["detached"] + b"\0",
    "another content": ber.encode(0x30, ber.oid("1.2.840.113549.1.7.3"), ber.encode(0xA0, b"\x30\x00")),
    "empty": b"\x30\x00",
    "no SignedData in it": ber.encode(0x30, OID, b"\xa0\x00"),
    "empty SignedData": ber.encode(0x30, OID, ber.encode(0xA0, b"\x30\x00")),
    "10,000 levels": nested(10_000),
    "10,000 levels inside": ber.encode(0x30, OID, ber.encode(0xA0, nested(10_000))),
    "10,000 levels without lengths": b"\x30\x80" * 10_000,
    "10,000 levels of tagged values": b"\xa0\x80" * 10_000 + b"\0\0" * 10_000,
    "a length that wraps": b"\x30\x88" + b"\xff" * 8,
    "a length of 126 octets": b"\x30\xfe" + b"\xff" * 126,
    "a tag without end": b"\x3f" + b"\xff" * 1000,
    "a million values": ber.encode(0x30, b"\x05\x00" * 1_000_000),
    "257 signers": with_signers(257),
    "no signers": replace(cms_container.SignedData.read(sign()), signers=()).encode(),
    "PEM of nothing": b"-----BEGIN CMS-----\n-----END CMS-----\n",
    "PEM of broken base64": b"-----BEGIN CMS-----\nMII\n-----END CMS-----\n",
    "PEM of a certificate": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_container_is_refused_at_once(name: str) -> None:
    started = time.process_time()
    with pytest.raises(DocumentDamaged):
        FORM.next_need(Signed(file(HOSTILE[name], Role.SIGNATURE)), Level.B_LTA, SHA256)
    everything(HOSTILE[name])
    assert time.process_time() - started < 20


def test_a_container_above_the_limit_is_not_read() -> None:
    with pytest.raises(BodyTooLarge):
        FORM.next_need(Signed(Document(BytesIO(), 1 << 30, role=Role.SIGNATURE)), Level.B_T, SHA256)
    with pytest.raises(BodyTooLarge):
        cms.signature_value(b"\x30" + bytes(64 << 20))


def test_an_attribute_put_in_keeps_der_order_and_what_was_there() -> None:
    container = sign()
    for dotted in ("1.2.840.113549.1.9.99", "1.2.3", "1.3.6.1.4.1.1"):
        container = cms.with_unsigned_attribute(container, dotted, b"\x05\x00")
    info = reader.ContentInfo.load(container, strict=True)["content"]["signer_infos"][0]
    encoded = [attribute.dump() for attribute in info["unsigned_attrs"]]
    assert len(encoded) == 3
    assert encoded == sorted(encoded)
    assert cms.signature_value(container) == cms.signature_value(sign())
    both = parallel(sign(), file(CONTENT))
    with pytest.raises(DocumentDamaged, match="has 2 signers"):
        cms.signature_value(both)
    assert cms.signature_value(both, signer=1) != cms.signature_value(both, signer=0)
    with pytest.raises(DocumentDamaged, match="no signer 3"):
        cms.with_unsigned_attribute(both, "1.2.3", b"\x05\x00", signer=2)


def test_ber_is_read_as_it_is_written() -> None:
    pieces = ber.whole(bytes.fromhex("2480 0402 4142 2403 0401 43 0400 0000".replace(" ", "")))
    assert ber.octets(pieces) == b"ABC"
    with pytest.raises(DocumentDamaged, match="another type"):
        ber.octets(ber.whole(bytes.fromhex("2403020101")))
    with pytest.raises(DocumentDamaged):
        ber.octets(ber.whole(nested(100, 0x24)))
    long_tag = ber.whole(bytes.fromhex("bf2103020105"))
    assert (long_tag.tag, ber.children(long_tag)[0].contents) == (0xBF21, b"\x05")
    assert ber.oid("2.16.840.1.101.3.4.2.1").hex() == "0609608648016503040201"
    assert ber.integer(128) == b"\x02\x02\x00\x80"
