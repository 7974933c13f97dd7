"""Every container that the signer makes passes for as long as its time-stamps prove, and no mutation of it does."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.signer.formats.asic import Asic
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from services.verifier.config import LimitSettings
from services.verifier.domain import Code, DocumentReport, Indication, SignatureKind, SubIndication, Verdict
from services.verifier.formats.asic import AsicFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering
from services.verifier.service import VerificationService
from services.verifier.workers.pool import WorkerPool
from tests.support import protected_octets, stamping
from tests.support.document_signers import authority
from tests.support.own_documents import Variant
from tests.support.stamping import TimeStampUnit
from tests.support.time_world import START, brief_signer, days, unit

FILES = {"to-trinh.xml": "<a>Tờ trình số 15</a>".encode(), "phu-luc/bang.txt": b"1;2;3\n"}
KINDS = [(form, kind) for form in ("ASIC_S", "ASIC_E") for kind in ("XADES", "CADES")]
LEVELS = list(Level)
MUTATIONS = 120
"""Of each flavour."""


def make(form: str, kind: str, level: Level, stamping_unit: TimeStampUnit | None = None) -> bytes:
    """Sign by the brief signer at START and raise to a level; ASiC-S holds the first file alone."""
    names = list(FILES)[:1] if form == "ASIC_S" else list(FILES)
    contents = tuple(
        Document(io.BytesIO(FILES[n]), len(FILES[n]), name=n, media_type="text/xml") for n in names
    )
    document = replace(contents[0], others=contents[1:])
    asic, who = Asic(form), brief_signer()  # type: ignore[arg-type]
    parameters = who.parameters(form=form, asic_signature=kind, packaging="DETACHED", level=level)  # type: ignore[arg-type]
    prepared = asic.prepare(document, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    addition = asic.complete(document, parameters, prepared.state, value)
    return stamping.raise_to(asic, Signed(document, addition), level, at=START, unit=stamping_unit or unit())


@cache
def made(form: str, kind: str, level: Level) -> bytes:
    """The same, made once."""
    return make(form, kind, level)


def archived(container: bytes, form: str, at: datetime, stamping_unit: TimeStampUnit) -> bytes:
    """One more archive time-stamp, at another time by another unit."""
    document = Document(io.BytesIO(container), len(container), role=Role.SIGNATURE)
    asic = Asic(form)  # type: ignore[arg-type]
    return stamping.raise_to(asic, Signed(document, b""), Level.B_LTA, at=at, unit=stamping_unit)


def verify(container: bytes, at: datetime, *crls: bytes) -> DocumentReport:
    """Report as of `at`, by these CRLs; without any by a fresh one that names nobody."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), crls or (stamping.crl(at),))
    return VerificationService((AsicFormat(),), trust).verify(SubmittedDocument(container), at)


def outcome(report: DocumentReport) -> SubIndication | None:
    """Sub-indication of the first signature; None where it passed."""
    return report.signatures[0].sub_indication


def codes(report: DocumentReport) -> set[Code]:
    """Codes of the first signature's notices."""
    return {notice.code for notice in report.signatures[0].notices}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_every_level_passes_and_is_named(form: str, kind: str, level: Level) -> None:
    report = verify(made(form, kind, level), START)
    first = report.signatures[0]
    assert outcome(report) is None, first.detail
    assert (report.verdict, report.clean) == (Verdict.VALID, True)
    name = {"XADES": "XAdES", "CADES": "CAdES"}[kind]
    assert first.format == f"{name}-{level.value.replace('_', '-')}"
    assert all(s.indication is Indication.TOTAL_PASSED for s in report.signatures)
    tokens = [s for s in report.signatures if s.kind is SignatureKind.DOCUMENT_TIMESTAMP]
    assert len(tokens) == int((form, kind, level) == ("ASIC_E", "CADES", Level.B_LTA))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_an_expired_signer_passes_with_time_stamp_and_status_of_then(
    form: str, kind: str, level: Level
) -> None:
    report = verify(made(form, kind, level), days(10))
    if level in (Level.B_B, Level.B_T):
        assert outcome(report) is SubIndication.OUT_OF_BOUNDS_NO_POE
    else:
        assert outcome(report) is None, report.signatures[0].detail
        assert Code.CERT_EXPIRED_LATER in codes(report)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_a_later_revocation_does_not_reach_what_was_stamped(form: str, kind: str, level: Level) -> None:
    revoked = stamping.crl(days(1), revoked=(brief_signer().chain[0],))
    report = verify(made(form, kind, level), days(1.5), revoked)
    if level is Level.B_B:
        assert outcome(report) is SubIndication.REVOKED_NO_POE
    else:
        assert outcome(report) is None, report.signatures[0].detail
        assert Code.CERT_REVOKED_LATER in codes(report)


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_an_earlier_revocation_reaches_every_level(form: str, kind: str) -> None:
    revoked = stamping.crl(START - timedelta(hours=1), revoked=(brief_signer().chain[0],))
    for level in LEVELS:
        assert outcome(verify(made(form, kind, level), START, revoked)) is SubIndication.REVOKED_NO_POE


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_an_expired_unit_needs_a_later_time_stamp(form: str, kind: str) -> None:
    container = make(form, kind, Level.B_LT, unit(until=days(3)))
    assert outcome(verify(container, days(2.5))) is None
    assert outcome(verify(container, days(10))) is SubIndication.OUT_OF_BOUNDS_NO_POE
    report = verify(archived(container, form, days(1), unit()), days(10))
    assert outcome(report) is None, [n.detail for n in report.signatures[0].notices]
    assert report.signatures[0].format.endswith("-B-LTA")
    assert report.signatures[0].signing_time.best == START


def test_archive_manifests_carry_each_other() -> None:
    """ASiC-E with CAdES: the token of the first archive manifest has expired, that of the second covers it."""
    first = archived(
        make("ASIC_E", "CADES", Level.B_LT, unit(until=days(3))), "ASIC_E", days(1), unit(until=days(6))
    )
    assert outcome(verify(first, days(5))) is None
    assert outcome(verify(first, days(20))) is SubIndication.OUT_OF_BOUNDS_NO_POE
    second = archived(first, "ASIC_E", days(4), unit())
    report = verify(second, days(20))
    assert outcome(report) is None, [n.detail for n in report.signatures[0].notices]
    assert report.clean
    tokens = [s for s in report.signatures if s.kind is SignatureKind.DOCUMENT_TIMESTAMP]
    assert [token.indication for token in tokens] == [Indication.TOTAL_PASSED] * 2


def test_an_archive_manifest_that_does_not_hold_proves_nothing() -> None:
    container = made("ASIC_E", "CADES", Level.B_LTA)
    files = unpacked(container)
    stamp = next(name for name in files if name.endswith(".tst"))
    other = make("ASIC_E", "CADES", Level.B_LTA)
    report = verify(packed({**files, stamp: unpacked(other)[stamp]}), START)
    # The signature stands on its own: it is only as old as its other time-stamp says.
    assert (report.verdict, report.clean) == (Verdict.VALID, True)
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert {s.sub_indication for s in report.signatures[1:]} == {SubIndication.HASH_FAILURE}
    assert not report.signatures[0].format.endswith("-B-LTA")


async def test_a_confined_worker_judges_containers_too() -> None:
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), (stamping.crl(days(10)),))
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        for form, kind in KINDS:
            document = SubmittedDocument(made(form, kind, Level.B_LTA))
            report = await pool.judge(document, trust, days(10), integrity_only=False)
            assert report["verdict"] == "valid", report["signatures"]


def test_the_report_has_a_place_for_what_is_inside() -> None:
    assert rendering.document(verify(made("ASIC_E", "XADES", Level.B_B), START))["inner"] == []


def unpacked(container: bytes) -> dict[str, bytes]:
    """Its members, in order."""
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Mapping[str, bytes]) -> bytes:
    """A container of these members, with the checksums that they have now."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


# A mutated certificate may have flaws that the library warns of before it is refused.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("level", [Level.B_B, Level.B_LTA])
@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_no_mutation_of_what_is_protected_is_passed_and_clean(form: str, kind: str, level: Level) -> None:
    """Bits of members are flipped, and their checksums made to fit; what foreign readers see unchanged is neutral."""
    container = made(form, kind, level)
    variant = Variant(form, "DETACHED", level, (("asic_signature", kind),))  # type: ignore[arg-type]
    files, chance = unpacked(container), random.Random(f"{form}{kind}{level}")  # noqa: S311 - the same ones again
    original, accepted, tried = protected_octets.view(variant, SubmittedDocument(container)), [], 0
    assert original is not None
    while tried < MUTATIONS:
        name = chance.choice([each for each in files if files[each]])
        at, bit = chance.randrange(len(files[name])), 1 << chance.randrange(8)
        changed = files[name][:at] + bytes([files[name][at] ^ bit]) + files[name][at + 1 :]
        mutant = packed({**files, name: changed})
        if protected_octets.view(variant, SubmittedDocument(mutant)) == original:
            continue
        tried += 1
        if verify(mutant, START).clean:
            accepted.append((name, at, bit))
    assert accepted == []


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_no_octet_of_a_container_is_there_for_nothing(form: str, kind: str) -> None:
    """Any bit of the file: what passes still holds the same members, and says the same of all of them."""
    container = made(form, kind, Level.B_B)
    files, chance = unpacked(container), random.Random(f"{form}{kind}")  # noqa: S311 - the same ones again
    accepted = []
    for _ in range(MUTATIONS):
        at, bit = chance.randrange(len(container)), 1 << chance.randrange(8)
        mutant = container[:at] + bytes([container[at] ^ bit]) + container[at + 1 :]
        if verify(mutant, START).clean and unpacked(mutant) != files:
            accepted.append((at, bit))
    assert accepted == []
