"""What the signer makes at every level stays valid for as long as its time-stamps prove, and not a day longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.signer.formats.cades import CadesBaseline
from services.signer.formats.format import Document, SignatureFormat, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from services.signer.formats.xades import XmlSignature
from services.verifier.config import LimitSettings
from services.verifier.domain import Code, DocumentReport, Indication, SignatureKind, SubIndication
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering
from services.verifier.service import VerificationService
from services.verifier.workers.pool import WorkerPool
from tests.support import stamping
from tests.support.document_signers import authority, signed
from tests.support.pdfs import one_page_pdf
from tests.support.stamping import TimeStampUnit
from tests.support.time_world import START, brief_signer, days, unit
from tests.support.xml_tools import DECLARATION

CONTENT = "Nghị quyết số 57".encode()
FORMATS = (PdfFormat(), CmsFormat(), XmlFormat())
LEVELS = list(Level)
PACKAGINGS = ["ENVELOPED", "ENVELOPING", "DETACHED"]
KINDS = ["PADES", "CADES", *PACKAGINGS]
FORMS: dict[str, SignatureFormat] = {
    "PADES": PadesBaseline(),
    "CADES": CadesBaseline(),
    **dict.fromkeys(PACKAGINGS, XmlSignature(qualified=True)),
}
NAMES = {"PADES": "PAdES", "CADES": "CAdES", **dict.fromkeys(PACKAGINGS, "XAdES")}


def content(kind: str) -> bytes:
    """What is signed."""
    return {"PADES": one_page_pdf(), "CADES": CONTENT}.get(kind, DECLARATION)


def submitted(kind: str, made: bytes) -> SubmittedDocument:
    """A finished signature as it is handed in."""
    return SubmittedDocument(made, content(kind) if kind in ("CADES", "DETACHED") else None)


def make(kind: str, level: Level, stamping_unit: TimeStampUnit | None = None) -> SubmittedDocument:
    """Sign by the brief signer at START and raise to a level."""
    form, who, document = FORMS[kind], brief_signer(), content(kind)
    packaging = {"packaging": kind} if kind in PACKAGINGS else {}
    name = "XADES" if kind in PACKAGINGS else kind
    options = who.parameters(form=name, level=level, **packaging)  # type: ignore[arg-type]
    addition = signed(form, document, who, options)
    raised = stamping.raise_to(
        form, Signed(Document.of(document), addition), level, at=START, unit=stamping_unit or unit()
    )
    return submitted(kind, document + raised if kind == "PADES" else raised)


def verify(document: SubmittedDocument, at: datetime, *crls: bytes) -> DocumentReport:
    """Report as of `at`, by these CRLs; without any by a fresh one that names nobody."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), crls or (stamping.crl(at),))
    return VerificationService(FORMATS, trust).verify(document, at)


def outcome(report: DocumentReport) -> SubIndication | None:
    """Sub-indication of the one signature; None where it passed."""
    found = next(s for s in report.signatures if s.kind is SignatureKind.SIGNATURE)
    assert (found.sub_indication is None) == (found.indication is Indication.TOTAL_PASSED)
    return found.sub_indication


def codes(report: DocumentReport) -> set[Code]:
    """Codes of the first signature's notices."""
    return {notice.code for notice in report.signatures[0].notices}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_level_passes_and_is_named(kind: str, level: Level) -> None:
    report = verify(make(kind, level), START)
    first = report.signatures[0]
    assert outcome(report) is None, first.detail
    assert report.clean
    assert first.format == f"{NAMES[kind]}-{level.value.replace('_', '-')}"
    assert all(s.indication is Indication.TOTAL_PASSED for s in report.signatures)
    answer = rendering.document(report)["signatures"][0]["signing_time"]
    if level is Level.B_B:
        assert answer["source"] == "checking"
        assert Code.TS_NONE in codes(report)
    else:
        assert (answer["source"], answer["authority"]) == ("signature_time_stamp", "Kyso test TSU 2")
        assert first.signing_time.best == START
        assert Code.TS_OK in codes(report)
    assert Code.TS_NOT_CHECKED not in codes(report)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_signer_passes_with_time_stamp_and_status_of_then(kind: str, level: Level) -> None:
    report = verify(make(kind, level), days(10))
    if level in (Level.B_B, Level.B_T):
        # The list of today need not remember a certificate that has expired.
        assert outcome(report) is SubIndication.OUT_OF_BOUNDS_NO_POE
        assert Code.CERT_EXPIRED in codes(report)
    else:
        assert outcome(report) is None, report.signatures[0].detail
        assert Code.CERT_EXPIRED_LATER in codes(report)


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_from_before_the_end_is_status_enough_for_b_t(kind: str) -> None:
    document = make(kind, Level.B_T)
    lists = stamping.crl(days(1)), stamping.crl(days(10))
    assert outcome(verify(document, days(10), *lists)) is None
    assert outcome(verify(make(kind, Level.B_B), days(10), *lists)) is SubIndication.OUT_OF_BOUNDS_NO_POE


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_revocation_does_not_reach_what_was_stamped(kind: str, level: Level) -> None:
    revoked = stamping.crl(days(1), revoked=(brief_signer().chain[0],))
    report = verify(make(kind, level), days(1.5), revoked)
    if level is Level.B_B:
        assert outcome(report) is SubIndication.REVOKED_NO_POE
        assert Code.CERT_REVOKED in codes(report)
    else:
        assert outcome(report) is None, report.signatures[0].detail
        assert Code.CERT_REVOKED_LATER in codes(report)
        assert report.signatures[0].status.revoked_at == days(1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_earlier_revocation_reaches_every_level(kind: str, level: Level) -> None:
    revoked = stamping.crl(START - timedelta(hours=1), revoked=(brief_signer().chain[0],))
    assert outcome(verify(make(kind, level), START, revoked)) is SubIndication.REVOKED_NO_POE
    if level is not Level.B_B:
        later = verify(make(kind, level), days(10), revoked, stamping.crl(days(10)))
        assert outcome(later) is SubIndication.REVOKED_NO_POE


@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_unit_needs_a_later_time_stamp(kind: str) -> None:
    """B-LT dies with its unit's certificate; a fresh archive time-stamp by another unit keeps it."""
    brief = unit(until=days(3))
    document = make(kind, Level.B_LT, brief)
    assert outcome(verify(document, days(2.5))) is None
    assert outcome(verify(document, days(10))) is SubIndication.OUT_OF_BOUNDS_NO_POE
    renewed = _archived(kind, document, days(1), unit())
    report = verify(renewed, days(10))
    assert outcome(report) is None, [n.detail for n in report.signatures[0].notices]
    assert report.signatures[0].format.endswith("-B-LTA")
    assert report.signatures[0].signing_time.best == START


def _archived(
    kind: str, document: SubmittedDocument, at: datetime, stamping_unit: TimeStampUnit
) -> SubmittedDocument:
    """Raise to B-LTA at another time by another unit."""
    if kind == "PADES":
        sent = Signed(Document.of(document.data))
        added = stamping.raise_to(PadesBaseline(), sent, Level.B_LTA, at=at, unit=stamping_unit)
        return submitted(kind, document.data + added)
    sent = Signed(Document.of(content(kind)), document.data)
    return submitted(kind, stamping.raise_to(FORMS[kind], sent, Level.B_LTA, at=at, unit=stamping_unit))


def test_a_document_time_stamp_is_judged_for_itself() -> None:
    document = make("PADES", Level.B_LTA)
    stamp = verify(document, START).signatures[-1]
    assert stamp.kind is SignatureKind.DOCUMENT_TIMESTAMP
    assert (stamp.indication, stamp.signing_time.best) == (Indication.TOTAL_PASSED, START)
    late = verify(document, days(40), stamping.crl(days(40))).signatures[-1]
    assert late.sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE


async def test_a_confined_worker_judges_time_stamps_too() -> None:
    """Nothing that judging them needs is loaded from a file only then: a worker reaches none."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), (stamping.crl(days(10)),))
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        for kind in KINDS:
            report = await pool.judge(make(kind, Level.B_LTA), trust, days(10), integrity_only=False)
            first = report["signatures"][0]
            assert first["indication"] == "TOTAL-PASSED", first["detail"]
            assert first["format"] == f"{NAMES[kind]}-B-LTA"
            assert first["status"]["source"] in ("crl", "ocsp")


def test_local_time_written_as_utc_is_told() -> None:
    form, who = CadesBaseline(), brief_signer()
    parameters = replace(
        who.parameters(form="CADES", level=Level.B_T), signing_time=START + timedelta(hours=7)
    )
    addition = signed(form, CONTENT, who, parameters)
    raised = stamping.raise_to(form, Signed(Document.of(CONTENT), addition), Level.B_T, at=START, unit=unit())
    report = verify(SubmittedDocument(raised, CONTENT), START)
    assert outcome(report) is None
    assert Code.TIME_LOCAL_AS_UTC in codes(report)
    assert report.signatures[0].signing_time.best == START
