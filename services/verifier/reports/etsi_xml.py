"""The validation report of ETSI TS 119 102-2 (version 1.4.1), for systems that read it. It is not signed.

What the report does not know it leaves out: no quality of the signature (clause 4.3.8) is claimed, and no validation
service is named. The signed document is told by its digest; certificates, CRLs, OCSP responses and time-stamp tokens are
there in full as far as they are handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol
from urllib.parse import quote

from lxml import etree

from services.verifier.domain import (
    Code,
    Coverage,
    DocumentReport,
    Indication,
    Integrity,
    Notice,
    SignatureKind,
    SignatureReport,
    SubIndication,
    TimeSource,
    Verdict,
)
from services.verifier.reports import sentences
from services.verifier.reports.etsi_objects import DIGESTS, DS, VR, Objects, element, text, when
from services.verifier.reports.words import plain

MEDIA_TYPE = "application/xml"
_URN = "urn:etsi:019102:"
_OWN = "urn:x-kyso:"
"""Begins the names of what the standard has no name for."""
_MAIN = {
    Indication.TOTAL_PASSED: "total-passed",
    Indication.TOTAL_FAILED: "total-failed",
    Indication.INDETERMINATE: "indeterminate",
}
_STAMP_MAIN = {
    Indication.TOTAL_PASSED: "passed",
    Indication.TOTAL_FAILED: "failed",
    Indication.INDETERMINATE: "indeterminate",
}
"""A time-stamp is a building block (EN 319 102-1 clause 5.4): it passes, but not in total."""
_ATTRIBUTES = {
    TimeSource.SIGNATURE: "SignatureTimeStamp",
    TimeSource.REFERENCES: "SigAndRefsTimeStamp",
    TimeSource.ARCHIVE: "ArchiveTimeStamp",
    TimeSource.DOCUMENT: "DocTimeStamp",
}
_ALGORITHMS = {
    "RSA-PKCS1v1.5/SHA-1": "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    "RSA-PKCS1v1.5/SHA-256": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "RSA-PKCS1v1.5/SHA-384": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "RSA-PKCS1v1.5/SHA-512": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "RSA-PSS/SHA-256": "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
    "RSA-PSS/SHA-384": "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
    "RSA-PSS/SHA-512": "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
    "ECDSA/SHA-256": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "ECDSA/SHA-384": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "ECDSA/SHA-512": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
}
_WEAK = frozenset({Code.ALG_SHA1, Code.ALG_WEAK})
_MAX_TEXT = 1000


class Evidence(Protocol):
    """A value that the verdict went by: `kind` is certificate, crl, ocsp_response or time_stamp; others are passed over."""

    @property
    def kind(self) -> str:
        """What it is."""
        ...

    @property
    def data(self) -> bytes:
        """DER."""
        ...


def render(report: DocumentReport, document_name: str = "", evidence: Iterable[Evidence] = ()) -> bytes:
    """The report in UTF-8. Documents inside the document are told of behind its own signatures."""
    root = element("ValidationReport")
    objects = Objects(report.checked_at)
    for one in evidence:
        objects.add(one.kind, one.data)
    documents = list(_documents(report, document_name))
    every = (s for _, whole in documents for s in whole.signatures)
    over_documents = (s.signature_value for s in every if s.kind is SignatureKind.DOCUMENT_TIMESTAMP)
    writer = _Writer(objects, frozenset(over_documents))
    for number, (name, whole) in enumerate(documents):
        writer.document(root, whole, name, number)
    objects.write(root)
    etree.cleanup_namespaces(root, top_nsmap={"vr": VR, "ds": DS})
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _documents(report: DocumentReport, name: str) -> Iterator[tuple[str, DocumentReport]]:
    yield name, report
    for one in report.inner:
        yield from _documents(one.report, one.name)


class _Writer:
    """Writes the reports of single signatures; what they refer to goes into the objects."""

    def __init__(self, objects: Objects, stamps: frozenset[bytes]) -> None:
        """`stamps` are the signature values of the time-stamps over whole documents."""
        self._objects, self._stamps = objects, stamps

    def document(self, root: etree._Element, whole: DocumentReport, name: str, number: int) -> None:
        """Every signature of one document; of one without any, why there is none."""
        signed = self._objects.document(whole.sha256, plain(name, _MAX_TEXT))
        own = [s for s in whole.signatures if s.kind is SignatureKind.SIGNATURE]
        for place, report in enumerate(own, 1):
            part = element("SignatureValidationReport", root)
            self._signature(part, report, whole, signed, f"S-{number}-{place}")
        if not own:
            self._nothing(element("SignatureValidationReport", root), whole)
        for report in whole.signatures:
            if report.kind is SignatureKind.DOCUMENT_TIMESTAMP:
                self._stamp(report, whole)

    def _signature(
        self, part: etree._Element, report: SignatureReport, whole: DocumentReport, signed: str, name: str
    ) -> None:
        identifier = element("SignatureIdentifier", part, id=name)
        method = DIGESTS.get(report.digest_algorithm)
        if report.signed_digest and method is not None:
            digest = element("DigestAlgAndValue", identifier)
            element("DigestMethod", digest, space=DS, Algorithm=method)
            element("DigestValue", digest, space=DS).text = text(report.signed_digest)
        if report.signature_value:
            element("SignatureValue", identifier, space=DS).text = text(report.signature_value)
        element("HashOnly", identifier).text = "false"
        element("DocHashOnly", identifier).text = "false"
        self._constraints(part, report, whole)
        self._times(part, report, whole)
        if report.coverage.coverage in (Coverage.WHOLE, Coverage.REVISION):
            document = element("SignersDocument", part)
            self._objects.tell_digest(document, whole.sha256)
            element("SignersDocumentRepresentation", document, VOReference=signed)
        self._attributes(part, report)
        self._signer(part, report)
        if not whole.integrity_only:
            process = element("SignatureValidationProcess", part)
            element("SignatureValidationProcessID", process).text = f"{_URN}validationprocess:LTA"
        self._status(part, report, _MAIN[report.indication], name)

    def _nothing(self, part: etree._Element, whole: DocumentReport) -> None:
        """The schema wants one report; it says that there was no signature to judge."""
        status = element("SignatureValidationStatus", part)
        damaged = whole.verdict is Verdict.MALFORMED
        main = _MAIN[Indication.TOTAL_FAILED if damaged else Indication.INDETERMINATE]
        sub = SubIndication.FORMAT_FAILURE if damaged else SubIndication.GENERIC
        element("MainIndication", status).text = f"{_URN}mainindication:{main}"
        element("SubIndication", status).text = f"{_URN}subindication:{sub.value}"
        data = element("AssociatedValidationReportData", status)
        vi, en = sentences.of_document(whole)
        self._further(data, [("verdict", f"{whole.verdict.value}: {vi} / {en}"), *_told(whole.notices)])

    def _stamp(self, report: SignatureReport, whole: DocumentReport) -> None:
        """A document time-stamp is a validation object with a report of its own."""
        holder = self._objects.time_stamp(within=frozenset({report.signature_value}))
        if holder is None:
            holder = self._objects.unseen_time_stamp(plain(report.name, _MAX_TEXT))
        if holder.find("{*}ValidationReport") is not None:
            return
        part = element("ValidationReport", holder)
        self._times(part, report, whole)
        self._signer(part, report)
        self._status(part, report, _STAMP_MAIN[report.indication], holder.get("id", ""))

    def _constraints(self, part: etree._Element, report: SignatureReport, whole: DocumentReport) -> None:
        """What of the policy was applied: integrity always, trust unless it was left out on request."""
        group = element("ValidationConstraintsEvaluationReport", part)
        intact = report.integrity in (Integrity.INTACT, Integrity.EXTENDED)
        broken = report.integrity is Integrity.BROKEN
        outcomes = {"integrity": "passed" if intact else "failed" if broken else "indeterminate"}
        if not whole.integrity_only:
            outcomes["trust"] = "passed" if report.indication is Indication.TOTAL_PASSED else "indeterminate"
        for name in ("integrity", "trust"):
            constraint = element("ValidationConstraint", group)
            element("ValidationConstraintIdentifier", constraint).text = f"{_OWN}constraint:{name}"
            status = element("ConstraintStatus", constraint)
            word = "applied" if name in outcomes else "disabled"
            element("Status", status).text = f"{_URN}constraintStatus:{word}"
            if name in outcomes:
                outcome = element("ValidationStatus", constraint)
                element("MainIndication", outcome).text = f"{_URN}mainindication:{outcomes[name]}"

    def _times(self, part: etree._Element, report: SignatureReport, whole: DocumentReport) -> None:
        info = element("ValidationTimeInfo", part)
        element("ValidationTime", info).text = when(whole.checked_at)
        best = element("BestSignatureTime", info)
        element("POETime", best).text = when(report.signing_time.best)
        stated = report.signing_time.source is TimeSource.STATED
        element("TypeOfProof", best).text = f"{_URN}poetype:{'provided' if stated else 'validation'}"
        stamp = self._stamp_of(report)
        if stamp is not None:
            element("POEObject", best, VOReference=stamp)

    def _stamp_of(self, report: SignatureReport) -> str | None:
        if report.signing_time.source in (TimeSource.CHECKING, TimeSource.STATED):
            return None
        over_document = report.signing_time.source is TimeSource.DOCUMENT
        holder = self._objects.time_stamp(
            report.signing_time.best, within=self._stamps, outside=not over_document
        )
        return None if holder is None else holder.get("id")

    def _attributes(self, part: etree._Element, report: SignatureReport) -> None:
        time = report.signing_time
        stamp = _ATTRIBUTES.get(time.source)
        if time.claimed is None and stamp is None and report.signer is None:
            return
        group = element("SignatureAttributes", part)
        if time.claimed is not None:
            element("Time", element("SigningTime", group)).text = when(time.claimed)
        if report.signer is not None:
            holder = self._objects.certificate(report.signer)
            element("AttributeObject", element("SigningCertificate", group), VOReference=holder)
        if stamp is not None:
            attribute = element(stamp, group)
            token = self._stamp_of(report)
            if token is not None:
                element("AttributeObject", attribute, VOReference=token)
            element("TimeStampValue", attribute).text = when(time.best)

    def _signer(self, part: etree._Element, report: SignatureReport) -> None:
        if report.signer is None:
            return
        information = element("SignerInformation", part)
        element("SignerCertificate", information, VOReference=self._objects.certificate(report.signer))
        name = report.signer.common_name or report.signer.subject
        element("Signer", information).text = plain(name, _MAX_TEXT)

    def _status(self, part: etree._Element, report: SignatureReport, main: str, name: str) -> None:
        status = element("SignatureValidationStatus", part)
        element("MainIndication", status).text = f"{_URN}mainindication:{main}"
        if report.sub_indication is not None:
            element("SubIndication", status).text = f"{_URN}subindication:{report.sub_indication.value}"
        data = element("AssociatedValidationReportData", status)
        self._chain(data, report)
        self._revocation(data, report)
        if report.signature_algorithm:
            crypto = element("CryptoInformation", data)
            element("ValidationObjectId", crypto, VOReference=name)
            known = _ALGORITHMS.get(report.signature_algorithm)
            own = f"{_OWN}algorithm:{quote(plain(report.signature_algorithm, 80), safe='')}"
            element("Algorithm", crypto).text = known or own
            weak = any(notice.code in _WEAK for notice in report.notices)
            element("SecureAlgorithm", crypto).text = "false" if weak else "true"
        told = [
            ("name", report.name),
            ("detail", report.detail),
            ("coverage", report.coverage.coverage.value),
        ]
        self._further(data, [*(one for one in told if one[1]), *_told(report.notices)])

    def _chain(self, data: etree._Element, report: SignatureReport) -> None:
        path = [self._objects.certificate(summary) for summary in report.path]
        if len(path) < 2:
            return
        # Only a path that was found to hold is known to end in an anchor.
        trusted = report.indication is Indication.TOTAL_PASSED
        if trusted:
            element("TrustAnchor", data, VOReference=path[-1])
        chain = element("CertificateChain", data)
        element("SigningCertificate", chain, VOReference=path[0])
        for between in path[1:-1] if trusted else path[1:]:
            element("IntermediateCertificate", chain, VOReference=between)
        if trusted:
            element("TrustAnchor", chain, VOReference=path[-1])

    def _revocation(self, data: etree._Element, report: SignatureReport) -> None:
        status = report.status
        if status.revoked_at is None or report.signer is None:
            return
        group = element("RevocationStatusInformation", data)
        element("ValidationObjectId", group, VOReference=self._objects.certificate(report.signer))
        element("RevocationTime", group).text = when(status.revoked_at)
        if status.reason.isalnum():
            element("RevocationReason", group).text = f"{_URN}revocationReason:{status.reason}"

    def _further(self, data: etree._Element, told: Iterable[tuple[str, str]]) -> None:
        group = element("AdditionalValidationReportData", data)
        for kind, value in told:
            entry = element("ReportData", group)
            element("Type", entry).text = f"{_OWN}{kind}"
            element("Value", entry).text = plain(value, _MAX_TEXT)


def _told(notices: Iterable[Notice]) -> Iterator[tuple[str, str]]:
    for notice in notices:
        vi, en = sentences.of_code(notice.code)
        yield f"notice:{notice.code.value}", f"{vi} / {en}" + (f" ({notice.detail})" if notice.detail else "")
