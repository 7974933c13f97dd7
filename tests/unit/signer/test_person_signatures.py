"""Whether a report shows a person's valid signature over the whole document (VS-41, VS-42)."""

from __future__ import annotations

from typing import Any

import pytest

from kyso.v1 import verifier_pb2 as pb
from services.kernel.errors import PersonSignatureMissing
from services.signer.verifier_rpc import is_person, missing_person

PASSED, FAILED = pb.INDICATION_TOTAL_PASSED, pb.INDICATION_TOTAL_FAILED
OPEN = pb.INDICATION_INDETERMINATE
AGENCY_NAME = "UBND phường Thử Nghiệm"


def certificate(*identifiers: tuple[str, str], **fields: Any) -> pb.CertificateSummary:
    found = [
        pb.SubjectIdentifier(type=kind, value=value, malformed=value == "?") for kind, value in identifiers
    ]
    return pb.CertificateSummary(identifiers=found, **fields)


PERSON = certificate(("citizen", "012345678901"), common_name="Trần Thị Bình", organization=AGENCY_NAME)
AGENCY = certificate(("tax", "0106793535"), common_name=AGENCY_NAME, organization=AGENCY_NAME)


@pytest.mark.parametrize(
    ("signer", "person"),
    [
        pytest.param(PERSON, True, id="citizen number"),
        pytest.param(certificate(("old_id", "012345678"), common_name="A"), True, id="old identity card"),
        pytest.param(certificate(("passport", "B1234567"), common_name="A"), True, id="passport"),
        pytest.param(certificate(common_name="A", title="Chủ tịch", organization="B"), True, id="title"),
        pytest.param(
            certificate(("tax", "0106793535"), ("citizen", "012345678901"), common_name="A", organization="B"),
            True, id="a person with the organisation's tax code",
        ),
        pytest.param(AGENCY, False, id="agency"),
        pytest.param(certificate(common_name=AGENCY_NAME), False, id="agency without any number"),
        pytest.param(certificate(common_name="cong.example.vn", organization=AGENCY_NAME), False, id="device"),
        pytest.param(certificate(("citizen", "?"), common_name="A"), False, id="malformed number"),
        pytest.param(
            certificate(("citizen", "012345678901"), common_name="ubnd  Phường thử nghiệm", organization=AGENCY_NAME),
            False, id="the agency's own name with a number in it",
        ),
        pytest.param(pb.CertificateSummary(), False, id="nothing"),
    ],
)  # fmt: skip
def test_whose_a_certificate_is(signer: pb.CertificateSummary, *, person: bool) -> None:
    assert is_person(signer) is person


def report(
    signer: pb.CertificateSummary = PERSON,
    indication: pb.Indication = PASSED,
    kind: str = "whole_document",
    revision: int = 1,
    changes: tuple[tuple[int, str, bool], ...] = (),
) -> pb.SignatureReport:
    later = [pb.LaterChange(revision=number, kind=what, allowed=allowed) for number, what, allowed in changes]
    return pb.SignatureReport(
        indication=indication,
        signer=signer,
        coverage=pb.Coverage(kind=kind, revision=revision),
        later_changes=later,
        sentence_vi="Chữ ký không hợp lệ.",
        sentence_en="The signature is not valid.",
    )


def reason(*reports: pb.SignatureReport, **fields: Any) -> str:
    refusal = missing_person(pb.VerifyDocumentResponse(signatures=reports, **fields))
    if refusal is None:
        return ""
    assert isinstance(refusal, PersonSignatureMissing)
    return str(refusal.data["reason"])


def test_one_person_over_the_whole_document_is_enough() -> None:
    assert reason(report()) == ""
    assert reason(report(AGENCY), report()) == ""


def test_nobody_and_nobody_but_agencies() -> None:
    assert reason() == "NO_SIGNATURE"
    assert reason(report(), integrity_only=True) == "NO_SIGNATURE"
    assert reason(report(AGENCY)) == "NO_PERSON"


@pytest.mark.parametrize("indication", [FAILED, OPEN])
def test_a_person_whose_signature_is_not_valid_is_none(indication: pb.Indication) -> None:
    assert reason(report(indication=indication)) == "NOT_VALID"
    assert reason(report(indication=indication), report(AGENCY)) == "NOT_VALID"


LATER = "revision"


@pytest.mark.parametrize(
    ("changes", "others", "wanted"),
    [
        ((), (), ""),
        (((2, "validation_data", True),), (), ""),
        (((2, "signature", True),), (report(AGENCY, revision=2),), ""),
        (((2, "timestamp", True),), (report(pb.CertificateSummary(), OPEN, revision=2),), ""),
        (((2, "timestamp", True),), (report(pb.CertificateSummary(), FAILED, revision=2),), "NOT_WHOLE"),
        (((2, "timestamp", True),), (), "NOT_WHOLE"),
        (((2, "signature", True),), (report(AGENCY, OPEN, revision=2),), "NOT_WHOLE"),
        (((2, "signature", True),), (report(AGENCY, PASSED, revision=3),), "NOT_WHOLE"),
        (((2, "signature", True),), (), "NOT_WHOLE"),
        (((2, "signature", True), (3, "annotation", True)), (report(AGENCY, revision=2),), "NOT_WHOLE"),
        (((2, "form_filling", True),), (), "NOT_WHOLE"),
        (((2, "annotation", True),), (), "NOT_WHOLE"),
        (((2, "validation_data", False),), (), "NOT_WHOLE"),
        (((0, "unowned_bytes", False),), (), "NOT_WHOLE"),
    ],
)
def test_what_may_come_after_the_person(
    changes: tuple[tuple[int, str, bool], ...], others: tuple[pb.SignatureReport, ...], wanted: str
) -> None:
    assert reason(report(kind=LATER, changes=changes), *others) == wanted


def test_a_signature_over_a_part_covers_nothing() -> None:
    assert reason(report(kind="partial")) == "NOT_WHOLE"
    assert reason(report(kind="")) == "NOT_WHOLE"


def test_the_reason_is_told_in_both_languages() -> None:
    refusal = missing_person(pb.VerifyDocumentResponse(signatures=[report(indication=FAILED)]))
    assert refusal is not None
    assert refusal.message == (
        "Chưa có chữ ký hợp lệ của người có thẩm quyền: Chữ ký không hợp lệ. / No valid signature of the competent "
        "person yet: The signature is not valid; have the person sign first, then apply the agency's seal"
    )
