"""The ETSI TS 119 102-2 report: fits its schema whatever the document says, and refers to what it holds."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import pytest
from lxml import etree

from services.verifier.domain import (
    Code,
    DocumentReport,
    Indication,
    Notice,
    SigningTime,
    StatusReport,
    StatusSource,
    SubIndication,
    TimeSource,
    Verdict,
)
from services.verifier.reports import etsi_objects, etsi_xml
from tests.support import etsi_foreign_classes
from tests.support.etsi_report_schema import VR, dangling, parsed, schema
from tests.support.report_samples import AT, FOREVER, HOSTILE, document, hostile, many, signature

NAMES = {"v": VR, "ds": etsi_objects.DS}


@dataclass(frozen=True)
class Value:
    """A value of the evidence."""

    kind: str
    data: bytes


def told(root: etree._Element, path: str) -> list[str]:
    return [element.text or "" for element in root.iterfind(path, NAMES)]


def test_a_signature_that_passed() -> None:
    root = parsed(etsi_xml.render(document(), "Đơn.pdf"))
    assert told(root, ".//v:SignatureValidationStatus/v:MainIndication") == [
        "urn:etsi:019102:mainindication:total-passed"
    ]
    assert told(root, ".//v:SubIndication") == []
    assert told(root, ".//v:SignatureIdentifier/ds:SignatureValue") == [base64.b64encode(b"value").decode()]
    assert told(root, ".//v:ValidationTime") == ["2026-11-22T20:30:05Z"]
    assert told(root, ".//v:Signer") == ["Nguyễn Văn An"]
    assert told(root, ".//v:Algorithm") == ["http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"]
    assert told(root, ".//v:SignatureTimeStamp/v:TimeStampValue") == ["2026-11-22T20:30:05Z"]
    assert told(root, ".//v:ValidationObject//v:direct") == ["Đơn.pdf"]
    assert root.find(".//v:SignatureQuality", NAMES) is None


@pytest.mark.parametrize("sub", list(SubIndication))
def test_every_sub_indication_is_named_as_the_standard_does(sub: SubIndication) -> None:
    failed = signature(indication=Indication.TOTAL_FAILED, sub_indication=sub, path=(), signer=None)
    root = parsed(etsi_xml.render(document(failed, verdict=Verdict.INVALID)))
    assert told(root, ".//v:SubIndication") == [f"urn:etsi:019102:subindication:{sub.value}"]
    assert told(root, ".//v:TrustAnchor") == []


def test_revocation_and_weakness_are_told() -> None:
    revoked = signature(
        indication=Indication.INDETERMINATE,
        sub_indication=SubIndication.REVOKED_NO_POE,
        status=StatusReport(StatusSource.CRL, AT, None, AT, "keyCompromise"),
        notices=(Notice(Code.ALG_SHA1),),
        signing_time=SigningTime(None, AT),
    )
    root = parsed(etsi_xml.render(document(revoked, verdict=Verdict.INDETERMINATE)))
    assert told(root, ".//v:RevocationReason") == ["urn:etsi:019102:revocationReason:keyCompromise"]
    assert told(root, ".//v:SecureAlgorithm") == ["false"]
    chain = root.find(".//v:CertificateChain", NAMES)
    assert chain is not None
    assert [child.tag.split("}")[1] for child in chain] == ["SigningCertificate", "IntermediateCertificate"]


def test_evidence_is_held_once_and_in_full_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [
        Value("crl", b"list"),
        Value("crl", b"list"),
        Value("ocsp_response", b"answer"),
        Value("original", b"x"),
    ]
    root = parsed(etsi_xml.render(document(), "", values))
    held = {e.get("id", "")[0]: told(e, ".//v:base64") for e in root.iterfind(".//v:ValidationObject", NAMES)}
    assert held["R"] == [base64.b64encode(b"list").decode()]
    assert held["O"] == [base64.b64encode(b"answer").decode()]
    assert set(held) == {"C", "R", "O", "D"}
    monkeypatch.setattr(etsi_objects, "MAX_FULL_BYTES", 5)
    root = parsed(etsi_xml.render(document(), "", values))
    named = root.find(
        f".//v:ValidationObject[@id='O-{hashlib.sha256(b'answer').hexdigest().upper()}']", NAMES
    )
    assert named is not None
    assert told(named, ".//v:base64") == []
    assert told(named, ".//ds:DigestValue") == [base64.b64encode(hashlib.sha256(b"answer").digest()).decode()]


@pytest.mark.parametrize(
    "report",
    [
        document(signature(), integrity_only=True),
        DocumentReport.undecided(b"x", AT, integrity_only=False),
        DocumentReport(
            Verdict.MALFORMED, False, (), "PDF", 1, "0" * 64, FOREVER, notices=(Notice(Code.DOC_MALFORMED),)
        ),
        DocumentReport(Verdict.UNSIGNED, False, (), "PDF", 1, "0" * 64, AT.replace(year=1)),
        document(signature(signing_time=SigningTime(AT, AT, TimeSource.STATED))),
        many(30),
        hostile(),
    ],
    ids=["integrity", "undecided", "malformed", "unsigned", "stated", "many", "hostile"],
)
def test_every_report_fits_the_schema(report: DocumentReport) -> None:
    written = etsi_xml.render(report, HOSTILE, [Value("time_stamp", b"no token")])
    root = parsed(written)
    assert etsi_foreign_classes.complaints(root) == []
    assert len(root.findall("v:SignatureValidationReport", NAMES)) >= 1
    assert written == etsi_xml.render(report, HOSTILE, [Value("time_stamp", b"no token")])


def test_the_foreign_classes_refuse() -> None:
    root = parsed(etsi_xml.render(document()))
    assert etsi_foreign_classes.complaints(root) == []
    info = root.find(".//v:ValidationTimeInfo", NAMES)
    assert info is not None
    info.remove(info[0])
    etree.SubElement(info, "New")
    told = etsi_foreign_classes.complaints(root)
    assert told == ["ValidationTimeInfoType: unknown New", "ValidationTimeInfoType: no ValidationTime"]


def test_the_schema_of_these_tests_refuses() -> None:
    root = parsed(etsi_xml.render(document()))
    main = root.find(".//v:MainIndication", NAMES)
    assert main is not None
    main.text = "urn:etsi:019102:mainindication:valid"
    assert not schema().validate(root)
    root = parsed(etsi_xml.render(document()))
    held = root.find(".//v:ValidationObject", NAMES)
    assert held is not None
    assert dangling(root) == set()
    held.set("id", "elsewhere")
    assert dangling(root) != set()
