"""CAdES at every packaging and level, judged by openssl, by pyHanko, and by the letter of EN 319 122-1."""

from __future__ import annotations

import subprocess
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_der_x509_certificate
from pyhanko.sign.ades.report import AdESPassed

from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from tests.support import cades_reference as reference
from tests.support import stamping
from tests.support.document_signers import RSA_SHA256, SIGNING_TIME, TestSigner, signed, signer

if TYPE_CHECKING:
    from pathlib import Path

    from services.signer.formats.parameters import PackagingName, SignatureParameters

CONTENT = "Công văn số 15/2026 của Ủy ban nhân dân\n".encode() * 20
FORM = CadesBaseline()
PACKAGINGS: tuple[PackagingName, ...] = ("DETACHED", "ENVELOPING")
RAISED = (Level.B_T, Level.B_LT, Level.B_LTA)
OTHER = signer(KeyAlgorithm.ECDSA_P384, "Trần Thị Ký")
ECDSA_SHA384 = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA384)


def sign(packaging: PackagingName = "DETACHED") -> bytes:
    who = signer()
    return signed(FORM, CONTENT, who, who.parameters(form="CADES", packaging=packaging))


def file(data: bytes, role: Role = Role.CONTENT, *others: Document) -> Document:
    return Document(BytesIO(data), len(data), role=role, others=others)


def complete(document: Document, who: TestSigner, parameters: SignatureParameters) -> bytes:
    prepared = FORM.prepare(document, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    return FORM.complete(document, parameters, prepared.state, value)


def beside(packaging: PackagingName) -> bytes | None:
    return CONTENT if packaging == "DETACHED" else None


def sent(container: bytes, packaging: PackagingName) -> Signed:
    """What a caller sends to have a container extended."""
    others = (file(CONTENT),) if packaging == "DETACHED" else ()
    return Signed(file(container, Role.SIGNATURE, *others))


def assert_stamps_verify(container: bytes, folder: Path, level: Level, signers: int = 1) -> None:
    """Let openssl verify every token over an imprint that the standard's text gives."""
    for index in range(signers):
        for token, value in reference.time_stamps(container, index):
            assert stamping.openssl_ts_verify(folder, token, stamping.imprint(value)) == ""
        assert len(reference.time_stamps(container, index)) == 1
        stamps = reference.archive_stamps(container, CONTENT, index)
        assert len(stamps) == (level is Level.B_LTA)
        for stamp in stamps:
            assert stamping.openssl_ts_verify(folder, stamp.token, stamp.imprint) == ""
            assert (stamp.covered, stamp.complete) == (True, True)


@pytest.mark.parametrize("packaging", PACKAGINGS)
@pytest.mark.parametrize("level", RAISED)
async def test_a_signature_reaches_its_level(level: Level, packaging: PackagingName, tmp_path: Path) -> None:
    container = stamping.raise_to(FORM, Signed(Document.of(CONTENT), sign(packaging)), level)
    complaint, found = reference.openssl_verify(tmp_path, container, beside(packaging), "-cades")
    assert (complaint, found) == ("", CONTENT)
    assert_stamps_verify(container, tmp_path, level)
    revocation = level is not Level.B_T
    assert await reference.verdict(container, CONTENT, revocation=revocation) is AdESPassed.OK


async def test_pyhanko_misses_revocation_values_below_b_lt() -> None:
    # What makes the verdict above worth something: it comes from the values in the container.
    container = stamping.raise_to(FORM, Signed(Document.of(CONTENT), sign()), Level.B_T)
    assert await reference.verdict(container, CONTENT, revocation=True) is not AdESPassed.OK


@pytest.mark.parametrize("packaging", PACKAGINGS)
@pytest.mark.parametrize("level", RAISED)
def test_a_container_is_extended_later(level: Level, packaging: PackagingName, tmp_path: Path) -> None:
    container = stamping.raise_to(FORM, sent(sign(packaging), packaging), level)
    assert reference.openssl_verify(tmp_path, container, beside(packaging))[0] == ""
    assert_stamps_verify(container, tmp_path, level)


def test_b_lt_holds_the_values_where_the_baseline_wants_them() -> None:
    # EN 319 122-1 section 6.3: CRLs in SignedData.crls.crl, OCSP in SignedData.crls.other (RFC 5940).
    container = stamping.raise_to(FORM, Signed(Document.of(CONTENT), sign()), Level.B_LT)
    data = reference.signed_data(container)
    unit = stamping.time_stamp_unit().certificate
    held = {choice.dump() for choice in data["certificates"]}
    assert held == {*signer().chain}
    others = [choice for choice in data["crls"] if choice.name == "other"]
    assert {choice.chosen["other_rev_info_format"].dotted for choice in others} == {"1.3.6.1.5.5.7.16.2"}
    assert len(others) == 2
    assert len(data["crls"]) == 3
    # RFC 5652 section 5.1: 5 because of the OCSP responses.
    assert data["version"].native == "v5"
    assert unit not in held


def test_the_time_stamps_may_be_by_another_digest_than_the_signature(tmp_path: Path) -> None:
    document = Document.of(CONTENT)
    container = stamping.raise_to(FORM, Signed(document, sign()), Level.B_LTA, DigestAlgorithm.SHA512)
    ((token, value),) = reference.time_stamps(container)
    imprint = stamping.imprint(value, DigestAlgorithm.SHA512)
    assert stamping.openssl_ts_verify(tmp_path, token, imprint) == ""
    (stamp,) = reference.archive_stamps(container, CONTENT)
    assert len(stamp.imprint) == 64
    assert stamping.openssl_ts_verify(tmp_path, stamp.token, stamp.imprint) == ""
    algorithms = {each["algorithm"].native for each in reference.signed_data(container)["digest_algorithms"]}
    assert algorithms == {"sha256", "sha512"}


def test_an_archived_container_gets_a_second_archive_time_stamp(tmp_path: Path) -> None:
    once = stamping.raise_to(FORM, sent(sign(), "DETACHED"), Level.B_LTA)
    twice = stamping.raise_to(FORM, sent(once, "DETACHED"), Level.B_LTA, DigestAlgorithm.SHA384)
    stamps = reference.archive_stamps(twice, CONTENT)
    assert len(stamps) == 2
    for stamp in stamps:
        assert stamp.covered
        assert stamping.openssl_ts_verify(tmp_path, stamp.token, stamp.imprint) == ""
    assert FORM.next_need(sent(twice, "DETACHED"), Level.B_LT, DigestAlgorithm.SHA256) is None


def test_a_content_that_stays_away_is_signed_and_archived_by_its_digest(tmp_path: Path) -> None:
    who = signer()
    away = Document(BytesIO(), 0, known_digest=Digest(DigestAlgorithm.SHA256, stamping.imprint(CONTENT)))
    container = complete(away, who, who.parameters(form="CADES"))
    assert reference.openssl_verify(tmp_path, container, CONTENT)[0] == ""
    archived = stamping.raise_to(FORM, Signed(away, container), Level.B_LTA)
    assert_stamps_verify(archived, tmp_path, Level.B_LTA)
    again = Document(BytesIO(archived), len(archived), known_digest=away.known_digest)
    assert len(reference.archive_stamps(stamping.raise_to(FORM, Signed(again), Level.B_LTA), CONTENT)) == 2


FOREIGN = {
    "detached": (),
    "attached": ("-nodetach",),
    "attached, BER in pieces": ("-nodetach", "-stream"),
    "signer by key identifier": ("-nodetach", "-keyid"),
    "RSA-PSS": ("-nodetach", "-keyopt", "rsa_padding_mode:pss"),
    "SHA-512": ("-nodetach", "-md", "sha512"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_container_made_by_openssl_is_extended_and_signed_in_parallel(name: str, tmp_path: Path) -> None:
    foreign = reference.openssl_sign(tmp_path, signer(), CONTENT, "-cades", *FOREIGN[name])
    packaging: PackagingName = "ENVELOPING" if FOREIGN[name] else "DETACHED"
    extended = stamping.raise_to(FORM, sent(foreign, packaging), Level.B_LTA)
    assert reference.openssl_verify(tmp_path, extended, beside(packaging))[0] == ""
    assert_stamps_verify(extended, tmp_path, Level.B_LTA)
    parameters = OTHER.parameters(ECDSA_SHA384, "CADES", cms_relation="PARALLEL")
    both = complete(sent(foreign, packaging).document, OTHER, parameters)
    assert reference.openssl_verify(tmp_path, both, beside(packaging))[0] == ""
    before = reference.signed_data(foreign)["signer_infos"][0].dump()
    after = [info.dump() for info in reference.signed_data(both)["signer_infos"]]
    assert len(after) == 2
    assert before in after


def test_a_pem_container_is_read(tmp_path: Path) -> None:
    foreign = reference.openssl_sign(tmp_path, signer(), CONTENT, "-nodetach", "-outform", "PEM")
    assert foreign.startswith(b"-----BEGIN CMS-----")
    extended = stamping.raise_to(FORM, sent(foreign, "ENVELOPING"), Level.B_T)
    assert reference.openssl_verify(tmp_path, extended, None)[0] == ""


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_three_sign_in_parallel_and_every_one_is_archived(packaging: PackagingName, tmp_path: Path) -> None:
    third = signer(KeyAlgorithm.ECDSA_P256, "Lê Văn Ba")
    container = sign(packaging)
    for who, algorithm in (
        (OTHER, ECDSA_SHA384),
        (third, SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)),
    ):
        parameters = who.parameters(algorithm, "CADES", cms_relation="PARALLEL")
        container = complete(sent(container, packaging).document, who, parameters)
    assert reference.openssl_verify(tmp_path, container, beside(packaging), "-cades")[0] == ""
    archived = stamping.raise_to(FORM, sent(container, packaging), Level.B_LTA)
    assert reference.openssl_verify(tmp_path, archived, beside(packaging))[0] == ""
    assert_stamps_verify(archived, tmp_path, Level.B_LTA, signers=3)


def test_a_parallel_signature_that_wants_a_level_raises_itself_alone(tmp_path: Path) -> None:
    first = sign()
    document = file(CONTENT, Role.CONTENT, file(first, Role.SIGNATURE))
    parameters = OTHER.parameters(ECDSA_SHA384, "CADES", cms_relation="PARALLEL", level=Level.B_LTA)
    container = complete(document, OTHER, parameters)
    raised = stamping.raise_to(FORM, Signed(document, container), Level.B_LTA)
    assert reference.openssl_verify(tmp_path, raised, CONTENT)[0] == ""
    infos = reference.signed_data(raised)["signer_infos"]
    before = reference.signed_data(first)["signer_infos"][0].dump()
    assert [info.dump() == before for info in infos].count(True) == 1
    index = next(index for index, info in enumerate(infos) if info.dump() != before)
    assert len(reference.archive_stamps(raised, CONTENT, index)) == 1


def test_a_parallel_signature_leaves_archive_time_stamps_valid(tmp_path: Path) -> None:
    archived = stamping.raise_to(FORM, sent(sign(), "DETACHED"), Level.B_LTA)
    parameters = OTHER.parameters(ECDSA_SHA384, "CADES", cms_relation="PARALLEL")
    both = complete(sent(archived, "DETACHED").document, OTHER, parameters)
    for index in range(2):
        for stamp in reference.archive_stamps(both, CONTENT, index):
            assert stamp.covered
            assert stamping.openssl_ts_verify(tmp_path, stamp.token, stamp.imprint) == ""


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_a_counter_signature_is_over_the_signature_value(packaging: PackagingName, tmp_path: Path) -> None:
    first = sign(packaging)
    parameters = OTHER.parameters(ECDSA_SHA384, "CADES", cms_relation="COUNTER")
    container = complete(file(first, Role.SIGNATURE), OTHER, parameters)
    assert reference.openssl_verify(tmp_path, container, beside(packaging), "-cades")[0] == ""
    (info,) = reference.signed_data(container)["signer_infos"]
    (counter,) = reference.unsigned_values(info, "1.2.840.113549.1.9.6")
    attributes = {each["type"].native: each["values"][0] for each in counter["signed_attrs"]}
    # RFC 5652 section 11.4: over the signature value's octets, and without a content type.
    assert attributes["message_digest"].native == stamping.imprint(
        info["signature"].native, DigestAlgorithm.SHA384
    )
    assert "content_type" not in attributes
    assert attributes["signing_time"].native == SIGNING_TIME
    assert openssl_verifies(tmp_path, counter["signed_attrs"].untag().dump(), counter["signature"].native)
    held = {choice.dump() for choice in reference.signed_data(container)["certificates"]}
    assert OTHER.chain[0] in held


def openssl_verifies(folder: Path, data: bytes, signature: bytes) -> bool:
    key = load_der_x509_certificate(OTHER.chain[0]).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, value in {"key.pem": pem, "data": data, "value": signature}.items():
        (folder / name).write_bytes(value)
    command = ["openssl", "dgst", "-sha384", "-verify", "key.pem", "-signature", "value", "data"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "Verified OK"


def test_a_counter_signed_container_is_counter_signed_again_and_archived(tmp_path: Path) -> None:
    container = sign()
    for who, algorithm in ((OTHER, ECDSA_SHA384), (signer(), RSA_SHA256)):
        parameters = who.parameters(algorithm, "CADES", cms_relation="COUNTER")
        container = complete(file(container, Role.SIGNATURE), who, parameters)
    (info,) = reference.signed_data(container)["signer_infos"]
    assert len(reference.unsigned_values(info, "1.2.840.113549.1.9.6")) == 2
    archived = stamping.raise_to(FORM, sent(container, "DETACHED"), Level.B_LTA)
    assert reference.openssl_verify(tmp_path, archived, CONTENT)[0] == ""
    assert_stamps_verify(archived, tmp_path, Level.B_LTA)


def test_an_empty_content_and_the_largest_are_enveloped(tmp_path: Path) -> None:
    who = signer()
    for content in (b"", bytes(16 << 20)):
        container = signed(FORM, content, who, who.parameters(form="CADES", packaging="ENVELOPING"))
        assert reference.openssl_verify(tmp_path, container, None) == ("", content)
