"""Reports on everything that the signer makes: the JSON and the ETSI XML fit their schemas and tell the same."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from lxml import etree

from services.signer.formats.parameters import Level
from services.verifier.examination import examine
from services.verifier.inquiry import Form, Inquiry
from services.verifier.procedure import timestamps
from services.verifier.reports.etsi_objects import DS
from services.verifier.reports.files import ReportPrinter
from services.verifier.workers.worker import FORMATS
from tests.support import etsi_foreign_classes
from tests.support.etsi_report_schema import VR, parsed
from tests.support.own_documents import Variant, make, trust, variants
from tests.support.report_json_schema import complaints

AT = datetime.now(UTC).replace(microsecond=0)
NAMES = {"v": VR, "ds": DS}


def held(root: etree._Element, name: str | None) -> bytes:
    """The value of a validation object."""
    text = root.findtext(f".//v:ValidationObject[@id='{name}']//v:base64", None, NAMES)
    assert text is not None, name
    return base64.b64decode(text)


def _signature_fits(report: etree._Element, signature: dict[str, Any]) -> None:
    """The digest and the value that the report names the signature by fit the signer's key."""
    digest = report.findtext("v:SignatureIdentifier/v:DigestAlgAndValue/ds:DigestValue", "", NAMES)
    value = base64.b64decode(report.findtext("v:SignatureIdentifier/ds:SignatureValue", "", NAMES))
    assert value
    assert bool(digest) == ("JAdES" not in signature["format"])
    if digest:
        key = x509.load_der_x509_certificate(base64.b64decode(signature["signer"]["der"])).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(value, base64.b64decode(digest), padding.PKCS1v15(), Prehashed(hashes.SHA256()))


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_both_reports_tell_what_proves_the_time_and_who_signed(variant: Variant) -> None:
    inquiry = Inquiry(AT, form=Form.ETSI, file_name="Tờ trình.pdf")
    answer = examine(FORMATS, trust(AT), make(variant, AT), inquiry, ReportPrinter())
    assert complaints(answer.report) == []
    signature = answer.report["signatures"][0]
    assert signature["indication"] == "TOTAL-PASSED", signature["detail"]
    (file,) = answer.files
    root = parsed(file.data)
    assert etsi_foreign_classes.complaints(root) == []
    report = root.find("v:SignatureValidationReport", NAMES)
    assert report is not None
    main = report.findtext("v:SignatureValidationStatus/v:MainIndication", "", NAMES)
    assert main == "urn:etsi:019102:mainindication:total-passed"
    _signature_fits(report, signature)
    signer = report.find(".//v:SignerCertificate", NAMES)
    assert signer is not None
    assert held(root, signer.get("VOReference")) == base64.b64decode(signature["signer"]["der"])
    proof = report.find(".//v:BestSignatureTime/v:POEObject", NAMES)
    assert (proof is None) == (variant.level is Level.B_B)
    if proof is not None:
        token = timestamps.read(held(root, proof.get("VOReference")))
        assert f"{token.info.time:%Y-%m-%dT%H:%M:%SZ}" == signature["signing_time"]["best"]
    kinds = {element.text for element in root.iterfind(".//v:ValidationObject/v:ObjectType", NAMES)}
    assert {
        f"urn:etsi:019102:validationObject:{kind}" for kind in ("certificate", "signedData", "CRL")
    } <= kinds
