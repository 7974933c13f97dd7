"""The dossier's owner and the signer: identifiers first, names only where nothing else can be compared."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from services.verifier import owner
from services.verifier.domain import (
    CertificateSummary,
    Code,
    Coverage,
    CoverageReport,
    DocumentReport,
    Identifier,
    Indication,
    InnerReport,
    Integrity,
    OwnerReason,
    OwnerResult,
    SignatureKind,
    SignatureReport,
    SigningTime,
    SubIndication,
    Verdict,
)
from services.verifier.owner import Owner
from services.verifier.reports import rendering
from tests.unit.verifier.authority import NOW


def signed_by(
    name: str = "",
    *identifiers: tuple[str, str],
    organization: str = "",
    passed: bool = True,
    kind: SignatureKind = SignatureKind.SIGNATURE,
    nobody: bool = False,
) -> SignatureReport:
    """A report on a signature by this signer."""
    summary = CertificateSummary(
        "CN=x", "CN=y", "1", "0" * 64, NOW, NOW, name, organization=organization,
        identifiers=tuple(Identifier(k, v, {"tax": "MST", "citizen": "CCCD"}.get(k, "MNS"), True) for k, v in identifiers),
    )  # fmt: skip
    return SignatureReport(
        name="1",
        format="PAdES-B-B",
        kind=kind,
        indication=Indication.TOTAL_PASSED if passed else Indication.INDETERMINATE,
        sub_indication=None if passed else SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
        integrity=Integrity.INTACT,
        coverage=CoverageReport(Coverage.WHOLE),
        signing_time=SigningTime(None, NOW),
        signer=None if nobody else summary,
    )


def document(*signatures: SignatureReport, integrity_only: bool = False) -> DocumentReport:
    return DocumentReport(
        Verdict.VALID, True, signatures, "PDF", 1, "0" * 64, NOW, integrity_only=integrity_only
    )


CITIZEN = Owner.of(name="Nguyễn Văn An", citizen="012345678901")
COMPANY = Owner.of(name="Công ty TNHH Thử Nghiệm", tax="0106489944")

CASES = {
    "same citizen number": (CITIZEN, signed_by("Ai đó", ("citizen", "012345678901")), OwnerReason.SAME_IDENTIFIER),
    "other citizen number, same name": (
        CITIZEN, signed_by("Nguyễn Văn An", ("citizen", "012345678902")), OwnerReason.OTHER_IDENTIFIER),
    "personal tax code of 12 digits": (
        CITIZEN, signed_by("", ("tax", "012345678901")), OwnerReason.SAME_IDENTIFIER),
    "same tax code": (COMPANY, signed_by("", ("tax", "0106489944")), OwnerReason.SAME_IDENTIFIER),
    "a branch": (COMPANY, signed_by("", ("tax", "0106489944-001")), OwnerReason.OTHER_BRANCH),
    "a branch that counts": (
        Owner.of(tax="0106489944", head_office_counts=True), signed_by("", ("tax", "0106489944-001")),
        OwnerReason.SAME_IDENTIFIER),
    "the head office of a branch": (
        Owner.of(tax="0106489944-001"), signed_by("", ("tax", "0106489944")), OwnerReason.OTHER_BRANCH),
    "one of several": (
        COMPANY, signed_by("", ("tax", "0100231226"), ("tax", "0106489944")), OwnerReason.SAME_IDENTIFIER),
    "both kinds have to fit": (
        Owner.of(tax="0106489944", citizen="012345678901"),
        signed_by("", ("tax", "0106489944"), ("citizen", "012345678999")), OwnerReason.OTHER_IDENTIFIER),
    "no number in common, same name": (
        CITIZEN, signed_by("NGUYỄN VĂN AN", ("tax", "0106489944")), OwnerReason.ONLY_SAME_NAME),
    "no number in common, other name": (CITIZEN, signed_by("Trần Thị Bình"), OwnerReason.OTHER_NAME),
    "same code": (Owner.of(code="mns: 105 7402"), signed_by("", ("other", "1057402")), OwnerReason.SAME_IDENTIFIER),
    "same value under another prefix": (
        Owner.of(code="XYZ:1057402"), signed_by("", ("other", "1057402")), OwnerReason.NOTHING_IN_COMMON),
    "by name only": (Owner.of(name="nguyễn  văn\u00a0an"), signed_by("Nguyễn Văn An"), OwnerReason.SAME_NAME),
    "by the organisation's name": (
        Owner.of(name="CTY TNHH Thử Nghiệm"),
        signed_by("Nguyễn Văn An", organization="CÔNG TY TRÁCH NHIỆM HỮU HẠN THỬ NGHIỆM"), OwnerReason.SAME_NAME),
    "another name": (Owner.of(name="Nguyễn Văn An"), signed_by("Nguyễn Văn Ân Bình"), OwnerReason.OTHER_NAME),
    "diacritics differ": (Owner.of(name="Nguyễn Văn An"), signed_by("NGUYEN VAN AN"), OwnerReason.NEARLY_SAME_NAME),
    "no name at all": (Owner.of(name="Nguyễn Văn An"), signed_by(""), OwnerReason.NOTHING_IN_COMMON),
    "no signer": (CITIZEN, signed_by(nobody=True), OwnerReason.NO_SIGNER),
    "a signature that did not pass": (
        CITIZEN, signed_by("", ("citizen", "012345678901"), passed=False), OwnerReason.NOT_PROVEN),
    "another number, not passed": (
        CITIZEN, signed_by("", ("citizen", "012345678902"), passed=False), OwnerReason.OTHER_IDENTIFIER),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_owner_and_signer_are_compared(name: str) -> None:
    who, report, reason = CASES[name]
    answer = owner.match(who, report)
    assert answer.reason is reason
    vi, en = owner.sentence(answer)
    assert vi
    assert en
    assert vi != en


def test_every_reason_is_reached() -> None:
    assert {reason for _, _, reason in CASES.values()} == set(OwnerReason)


def test_a_match_needs_trust() -> None:
    report = signed_by("", ("citizen", "012345678901"))
    assert owner.match(CITIZEN, report).result is OwnerResult.MATCH
    assert owner.match(CITIZEN, report, trusted=False).reason is OwnerReason.NOT_PROVEN
    whole = owner.apply(CITIZEN, document(report, integrity_only=True))
    assert whole.owner is not None
    assert whole.owner.result is OwnerResult.NOT_COMPARABLE
    assert not whole.clean


def test_one_signature_by_the_owner_is_enough() -> None:
    by_agency = signed_by("Sở Xây dựng", ("tax", "0100231226"), ("citizen", "099999999999"))
    by_owner = signed_by("Nguyễn Văn An", ("citizen", "012345678901"))
    stamp = signed_by("TSA", kind=SignatureKind.DOCUMENT_TIMESTAMP)
    whole = owner.apply(CITIZEN, document(by_agency, by_owner, stamp))
    assert whole.clean
    assert whole.verdict is Verdict.VALID
    assert whole.notices == ()
    assert whole.owner is not None
    assert whole.owner.result is OwnerResult.MATCH
    assert [s.owner.result.value if s.owner else "" for s in whole.signatures] == ["mismatch", "match", ""]
    assert [n.code for n in whole.signatures[0].notices] == [Code.OWNER_MISMATCH]


def test_documents_inside_are_compared_for_themselves() -> None:
    mine = document(signed_by("An", ("citizen", "012345678901")))
    whole = replace(
        document(signed_by("B", ("citizen", "012345678902"))), inner=(InnerReport("don.pdf", mine),)
    )
    told = owner.apply(CITIZEN, whole)
    assert not told.clean
    assert told.owner is not None
    assert told.owner.result is OwnerResult.MISMATCH
    assert told.inner[0].report.clean
    assert told.inner[0].report.owner == owner.match(CITIZEN, mine.signatures[0])


def test_without_the_owner_the_document_needs_a_look_but_stays_what_it_is() -> None:
    whole = owner.apply(CITIZEN, document(signed_by("Trần Thị Bình", ("citizen", "012345678902"))))
    assert whole.verdict is Verdict.VALID
    assert not whole.clean
    assert [n.code for n in whole.notices] == [Code.OWNER_MISMATCH]
    told = rendering.document(whole)
    assert told["owner"]["result"] == "mismatch"
    assert told["signatures"][0]["owner"]["reason"] == "other_identifier"
    nothing = owner.apply(Owner.of(citizen="012345678901"), document(signed_by("Trần Thị Bình")))
    assert [n.code for n in nothing.notices] == [Code.OWNER_NOT_COMPARABLE]
    assert owner.apply(CITIZEN, document()).owner == owner.match(CITIZEN, signed_by(nobody=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ủy ban nhân dân xã Hoà Bình", "UỶ BAN NHÂN DÂN XÃ HÒA BÌNH"),
        ("UBND phường Thuý", "Ủy ban nhân dân phường Thúy"),
        ("Công ty TNHH MTV A-B", "CTY TNHH 1 thành viên A B"),
        ("CTCP Xây dựng", "Công ty cổ phần xây dựng"),
        (unicodedata.normalize("NFD", "Nguyễn Thị Huệ"), "Nguyễn Thị Huệ"),
        ("Nguyễn\u200b Văn An", "“Nguyễn Văn An”"),
    ],
)
def test_names_that_are_written_differently_are_the_same(one: str, other: str) -> None:
    assert owner.plain_name(one) == owner.plain_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nguyễn Văn An", "Nguyễn Văn Án"),
        ("Công ty CP", "Chính phủ"),
        ("Nguyễn Văn An", "Nguyễn Vаn An"),  # a Cyrillic letter
        ("Trường Hoàn", "Trường Hoàng"),
    ],
)
def test_names_of_different_people_stay_different(one: str, other: str) -> None:
    assert owner.plain_name(one) != owner.plain_name(other)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"tax": "0106 489 944"}, Owner(tax="0106489944")),
        ({"tax": "MST:0106489944001"}, Owner(tax="0106489944-001")),
        ({"citizen": "123456789"}, Owner(old_id="123456789")),
        ({"citizen": " 012345678901 "}, Owner(citizen="012345678901")),
        ({"passport": "b1234567"}, Owner(passport="B1234567")),
        ({"code": "mns: 1057402"}, Owner(code="MNS:1057402")),
    ],
)
def test_what_a_caller_writes_is_read(given: dict[str, Any], read: Owner) -> None:
    assert Owner.of(**given) == read


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": "  "},
        {"name": "x" * 513},
        {"tax": "12345"},
        {"citizen": "01234567890a"},
        {"citizen": "MST:0106489944"},
        {"old_id": "012345678901"},
        {"code": "1057402"},
        {"code": "MST:0106489944"},
        {"telephone": "0900"},
    ],
)
def test_what_cannot_be_used_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given), "owner") if given != {"name": "  "} else "owner"):
        Owner.of(**given)
