"""PAdES from B-B to B-LTA, made here and extended: judged by pyHanko's AdES validators, openssl and pdfsig."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from asn1crypto import tsp  # noqa: F401 - teaches the reader the time-stamp attribute
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import async_validate_pdf_timestamp
from pyhanko_certvalidator import ValidationContext

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.format import Document, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from tests.support import pdfs
from tests.support.document_signers import signed, signer
from tests.support.pades_verdicts import (
    assert_openssl,
    assert_pdfsig,
    basic_verdicts,
    extend_to,
    lta_verdicts,
    opened,
    sign_at,
    time_verdicts,
)
from tests.support.stamping import raise_to

if TYPE_CHECKING:
    from pathlib import Path

STREAMED = pdfs.assemble_with_streams(pdfs.page_objects(), frozenset({1, 2, 3, 4}))
FILES = {"table": pdfs.one_page_pdf(), "streams": STREAMED}
TOKENS = {Level.B_B: 0, Level.B_T: 1, Level.B_LT: 1, Level.B_LTA: 2}


@pytest.mark.parametrize("level", Level, ids=lambda level: level.value)
@pytest.mark.parametrize("name", FILES)
async def test_a_fresh_signature_reaches_the_level(name: str, level: Level, tmp_path: Path) -> None:
    data = sign_at(level, FILES[name])
    assert data.startswith(FILES[name])
    assert_pdfsig(tmp_path, data, 1)
    assert assert_openssl(tmp_path, data) == TOKENS[level]
    match level:
        case Level.B_B:
            found = await basic_verdicts(data)
        case Level.B_T | Level.B_LT:
            found = await time_verdicts(data, revocation=level is Level.B_LT)
        case Level.B_LTA:
            found = await lta_verdicts(data)
    assert [verdict.indication for verdict in found] == ["AdESPassed.OK"]
    assert found[0].changes in (ModificationLevel.NONE, ModificationLevel.LTA_UPDATES)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (KeyAlgorithm.ECDSA_P256, SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)),
        (KeyAlgorithm.ECDSA_P384, SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA512)),
        (KeyAlgorithm.RSA_3072, SigningAlgorithm(SignatureScheme.RSA_PSS, DigestAlgorithm.SHA384)),
    ],
    ids=lambda value: value.label,
)
async def test_other_keys_reach_the_highest_level(
    key: KeyAlgorithm, algorithm: SigningAlgorithm, tmp_path: Path
) -> None:
    form, who, data = PadesBaseline(), signer(key), pdfs.one_page_pdf()
    addition = signed(form, data, who, who.parameters(algorithm, level=Level.B_LTA))
    data += raise_to(form, Signed(Document.of(data), addition), Level.B_LTA)
    assert [verdict.indication for verdict in await lta_verdicts(data)] == ["AdESPassed.OK"]
    assert assert_openssl(tmp_path, data) == 2


@pytest.mark.parametrize("digest", DigestAlgorithm, ids=lambda digest: digest.label)
def test_time_stamps_are_by_the_digest_that_was_asked_for(digest: DigestAlgorithm) -> None:
    form, who, data = PadesBaseline(), signer(), pdfs.one_page_pdf()
    addition = signed(form, data, who, who.parameters(level=Level.B_LTA))
    data += raise_to(form, Signed(Document.of(data), addition), Level.B_LTA, digest)
    found = opened(data)
    inside = found.embedded_regular_signatures[0].signer_info["unsigned_attrs"][0]["values"][0]["content"]
    whole = found.embedded_timestamp_signatures[0].signed_data
    for token in (inside, whole):
        info = token["encap_content_info"]["content"].parsed
        assert info["message_imprint"]["hash_algorithm"]["algorithm"].native == digest.hashlib_name


async def test_a_step_by_step_way_gives_each_level_in_turn(tmp_path: Path) -> None:
    """A signature laid out for B-LTA stops at whatever level could be had, and is valid there."""
    form, who, original = PadesBaseline(), signer(), pdfs.one_page_pdf()
    addition = signed(form, original, who, who.parameters(level=Level.B_LTA))
    for level in Level:
        addition = raise_to(form, Signed(Document.of(original), addition), level)
        assert form.next_need(Signed(Document.of(original), addition), level, DigestAlgorithm.SHA256) is None
        assert_pdfsig(tmp_path, original + addition, 1)
        assert assert_openssl(tmp_path, original + addition) == TOKENS[level]
    assert [verdict.indication for verdict in await lta_verdicts(original + addition)] == ["AdESPassed.OK"]


@pytest.mark.parametrize("name", FILES)
async def test_a_file_signed_elsewhere_is_raised_by_document_time_stamps(name: str, tmp_path: Path) -> None:
    once = sign_at(Level.B_B, FILES[name])
    stamps = {Level.B_B: 0, Level.B_T: 1, Level.B_LT: 1, Level.B_LTA: 2}
    for level in Level:
        data = extend_to(level, once)
        assert data.startswith(once)
        assert_pdfsig(tmp_path, data, 1)
        assert assert_openssl(tmp_path, data) == stamps[level]
        await assert_document_stamps_valid(data, stamps[level])
        for verdict in await basic_verdicts(data):
            assert verdict.indication == "AdESPassed.OK"
            assert verdict.changes in (ModificationLevel.NONE, ModificationLevel.LTA_UPDATES)


async def assert_document_stamps_valid(data: bytes, count: int) -> None:
    stamps = opened(data).embedded_timestamp_signatures
    assert len(stamps) == count
    for stamp in stamps:
        from asn1crypto import x509

        anchors = [x509.Certificate.load(signer().chain[1])]
        status = await async_validate_pdf_timestamp(
            stamp, ValidationContext(trust_roots=anchors, allow_fetching=False)
        )
        assert status.valid
        assert status.intact
        assert status.trusted


@pytest.mark.parametrize("start", [Level.B_T, Level.B_LT, Level.B_LTA], ids=lambda level: level.value)
async def test_a_time_stamped_file_is_raised_and_renewed(start: Level, tmp_path: Path) -> None:
    once = sign_at(start, STREAMED)
    data = extend_to(Level.B_LTA, once)
    renewed = extend_to(Level.B_LTA, data)
    assert renewed.startswith(data)
    assert data.startswith(once)
    assert [verdict.indication for verdict in await lta_verdicts(renewed)] == ["AdESPassed.OK"]
    assert assert_openssl(tmp_path, renewed) == TOKENS[start] + 2
    await assert_document_stamps_valid(renewed, TOKENS[start] - 1 + 2)


async def test_a_store_is_merged_and_keeps_what_it_had() -> None:
    once = sign_at(Level.B_LT, STREAMED)
    before = opened(once).root["/DSS"]
    twice = extend_to(Level.B_LTA, once)
    after = opened(twice).root["/DSS"]
    for key in ("/Certs", "/CRLs", "/OCSPs"):
        kept = [after[key].raw_get(index) for index in range(len(before[key]))]
        assert kept == [before[key].raw_get(index) for index in range(len(before[key]))]
        values = [after[key][index].data for index in range(len(after[key]))]
        assert len(values) == len(set(values))
    assert len(after["/Certs"]) == len(before["/Certs"])
    assert len(after["/CRLs"]) > len(before["/CRLs"])


async def test_a_signature_after_an_archived_one_leaves_it_valid_and_is_archived_too(tmp_path: Path) -> None:
    once = sign_at(Level.B_LTA, pdfs.one_page_pdf())
    twice = sign_at(Level.B_LTA, once, reason="Phê duyệt")
    verdicts = await lta_verdicts(twice)
    assert [verdict.indication for verdict in verdicts] == ["AdESPassed.OK"] * 2
    assert all(verdict.changes is not ModificationLevel.OTHER for verdict in verdicts)
    assert_pdfsig(tmp_path, twice, 2)
    assert assert_openssl(tmp_path, twice) == 4


@pytest.mark.parametrize("permission", [1, 2, 3])
async def test_a_certification_allows_its_own_validation_data(permission: int, tmp_path: Path) -> None:
    data = sign_at(Level.B_LTA, pdfs.one_page_pdf(), certification=permission)
    found = await lta_verdicts(data)
    assert [(verdict.indication, verdict.docmdp_ok) for verdict in found] == [("AdESPassed.OK", True)]
    document = PdfFileReader(BytesIO(data))
    signature = document.embedded_regular_signatures[0]
    assert signature.docmdp_level is not None
    assert signature.docmdp_level.value == permission
    assert document.root["/Perms"].raw_get("/DocMDP").reference == signature.sig_field.raw_get("/V").reference
    assert_pdfsig(tmp_path, data, 1)
    # Renewal writes no more than what a certification always allows (ISO 32000-2 12.8.2.2.2).
    again = await lta_verdicts(extend_to(Level.B_LTA, data))
    assert [(verdict.indication, verdict.docmdp_ok) for verdict in again] == [("AdESPassed.OK", True)]
