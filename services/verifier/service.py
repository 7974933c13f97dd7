"""The procedure: from a document's bytes to its report, in the steps of ETSI EN 319 102-1 clause 5.

Validation is for now: the time is an argument, no proof of earlier existence is used, so the best signing time is the
time of checking. A verdict starts INDETERMINATE and becomes TOTAL-PASSED at the last step only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.verifier import algorithms, certificates
from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm
from services.verifier.certificates import Certificate, CertificateError
from services.verifier.domain import (
    Code,
    Coverage,
    DocumentReport,
    Indication,
    Integrity,
    Notice,
    SignatureKind,
    SignatureReport,
    SigningTime,
    StatusReport,
    SubIndication,
    Verdict,
    worst,
)
from services.verifier.formats import ber
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import SignerInfo
from services.verifier.path import PathResult, PathValidator
from services.verifier.ports import (
    Findings,
    FoundSignature,
    Proof,
    SignatureFormat,
    SubmittedDocument,
    TrustMaterial,
)


class _Stop(Exception):
    """A check has ended the procedure for one signature; carries the verdict."""

    def __init__(self, indication: Indication, sub: SubIndication, detail: str, *notices: Notice) -> None:
        super().__init__(detail)
        self.indication, self.sub, self.detail, self.notices = indication, sub, detail, notices


@dataclass(slots=True)
class _Case:
    """One signature on its way through the steps; holds what the steps before have found out."""

    found: FoundSignature
    notices: list[Notice]
    certificate: Certificate | None = None
    scheme: SignatureAlgorithm | None = None
    path: PathResult | None = None
    integrity: Integrity = Integrity.UNKNOWN


class VerificationService:
    """Judges documents against one set of trust material. Keeps nothing of a document; safe to use again."""

    def __init__(
        self, formats: Sequence[SignatureFormat], trust: TrustMaterial, *, integrity_only: bool = False
    ) -> None:
        """`integrity_only` leaves trust out: chain, status, key usage and algorithm policy are not asked for."""
        self._formats = formats
        self._integrity_only = integrity_only
        self._known = tuple(_loadable((*trust.intermediates, *trust.anchors)))
        self._anchors = tuple(_loadable(trust.anchors))
        self._crls = trust.crls

    def verify(self, document: SubmittedDocument, at: datetime) -> DocumentReport:
        """Report on a document as of `at` (aware UTC). Raises nothing on account of the document."""
        findings = self._find(document)
        reports = tuple(self._guarded(found, at) for found in findings.signatures)
        verdict, notices = _document_verdict(findings, reports)
        return DocumentReport(
            verdict=verdict,
            clean=verdict is Verdict.VALID and all(report.clean for report in reports),
            signatures=reports,
            format=findings.format,
            size=len(document.data),
            sha256=hashlib.sha256(document.data).hexdigest(),
            checked_at=at,
            integrity_only=self._integrity_only,
            notices=(*notices, Notice(Code.TRUST_LEFT_OUT)) if self._integrity_only else notices,
        )

    def _find(self, document: SubmittedDocument) -> Findings:
        for candidate in self._formats:
            if candidate.recognises(document.data):
                try:
                    return candidate.find(document)
                except (RecursionError, MemoryError):
                    limit = Notice(
                        Code.LIMIT_REACHED, "the document needs more memory or depth than is allowed"
                    )
                    return Findings(candidate.name, obstacle=limit)
        supported = ", ".join(f.name for f in self._formats)
        detail = f"the content is none of the supported formats ({supported})"
        return Findings("unknown", obstacle=Notice(Code.FORMAT_UNSUPPORTED, detail))

    def _guarded(self, found: FoundSignature, at: datetime) -> SignatureReport:
        case = _Case(found, list(found.notices))
        try:
            self._steps(case, at)
        except _Stop as stop:
            return self._report(case, at, stop)
        except Exception as error:  # noqa: BLE001 - each signature in its own guard: one must not hide the others
            unexpected = _Stop(
                Indication.INDETERMINATE,
                SubIndication.GENERIC,
                f"the check failed inside ({type(error).__name__})",
            )
            return self._report(case, at, unexpected)
        return self._report(case, at, None)

    def _steps(self, case: _Case, at: datetime) -> None:
        signer = self._1_format(case)
        if self._integrity_only and self._bare_key_holds(case, signer):
            self._4_document(case)
            return
        certificate = self._2_identification(case, signer)
        weak = self._3_cryptography(case, signer, certificate)
        self._4_document(case)
        if self._integrity_only:
            return
        self._5_certificate(case, certificate, at)
        self._6_acceptance(case, certificate, weak)

    def _1_format(self, case: _Case) -> SignerInfo:
        """Clause 5.2.2: what the reader could not make sense of ends here."""
        fault, signer = case.found.fault, case.found.signer
        if fault is not None:
            case.certificate = self._named_by(signer, case.found) if signer is not None else None
            if fault.sub_indication is SubIndication.HASH_FAILURE:
                case.integrity = Integrity.BROKEN
            raise _Stop(fault.indication, fault.sub_indication, fault.detail, *fault.notices)
        if signer is None:
            raise _Stop(Indication.INDETERMINATE, SubIndication.GENERIC, "the signature has no signer")
        return signer

    def _bare_key_holds(self, case: _Case, signer: SignerInfo) -> bool:
        """Where no trust is asked for, a key that comes without a certificate shows integrity (XMLDSig KeyValue)."""
        proof = case.found.proof
        if proof is None or proof.key is None or self._named_by(signer, case.found) is not None:
            return False
        self._proven(case, proof, proof.key)
        return True

    def _proven(self, case: _Case, proof: Proof, key: PublicKeyTypes) -> tuple[Notice, ...]:
        """Clause 5.2.7 where the reader has compared the digests: the value is left."""
        case.scheme = proof.scheme
        try:
            held = proof.holds(key)
        except AlgorithmError as error:
            raise _Stop(Indication.TOTAL_FAILED, SubIndication.SIG_CRYPTO_FAILURE, str(error)) from error
        if not held:
            case.integrity = Integrity.BROKEN
            detail = "the signature value does not fit the signed data and the signer's key"
            raise _Stop(Indication.TOTAL_FAILED, SubIndication.SIG_CRYPTO_FAILURE, detail)
        case.integrity = Integrity.INTACT
        scheme = proof.scheme
        weak = algorithms.weaknesses(key, scheme.family, scheme.digest)
        return tuple(dict.fromkeys((*weak, *proof.weak)))

    def _named_by(self, signer: SignerInfo, found: FoundSignature) -> Certificate | None:
        for candidate in (*_loadable(found.certificates), *self._known):
            if _names(signer, candidate):
                return candidate
        return None

    def _2_identification(self, case: _Case, signer: SignerInfo) -> Certificate:
        """Clause 5.2.3: the certificate that the signature names, and where it states a digest of it, that one."""
        certificate = self._named_by(signer, case.found)
        missing = SubIndication.NO_SIGNING_CERTIFICATE_FOUND
        if certificate is None:
            raise _Stop(
                Indication.INDETERMINATE, missing, "the signer's certificate is not with the signature"
            )
        case.certificate = certificate
        for reference in signer.references:
            try:
                actual = algorithms.digest(algorithms.digest_label(reference.digest_oid), certificate.der)
            except AlgorithmError as error:
                raise _Stop(Indication.INDETERMINATE, missing, str(error)) from error
            if actual != reference.digest:
                detail = "the signed reference is to another certificate than the signer's"
                raise _Stop(Indication.INDETERMINATE, missing, detail)
        return certificate

    def _3_cryptography(
        self, case: _Case, signer: SignerInfo, certificate: Certificate
    ) -> tuple[Notice, ...]:
        """Clause 5.2.7: digest of the signed data, then the signature value. Answers the algorithms' weaknesses."""
        if case.found.proof is not None:
            try:
                bearer = certificate.public_key()
            except CertificateError as error:
                raise _Stop(Indication.INDETERMINATE, SubIndication.GENERIC, str(error)) from error
            return self._proven(case, case.found.proof, bearer)
        if case.found.digest is None:
            raise _Stop(
                Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, "the signed content is missing"
            )
        malformed = SubIndication.FORMAT_FAILURE
        try:
            digest_name = algorithms.digest_label(signer.digest.oid)
            case.scheme = algorithms.signature_algorithm(signer.signature_algorithm, digest_name)
            key = certificate.public_key()
        except AlgorithmError as error:
            raise _Stop(
                Indication.TOTAL_FAILED, malformed, str(error), Notice(Code.ALG_WEAK, str(error))
            ) from error
        except CertificateError as error:
            raise _Stop(Indication.INDETERMINATE, SubIndication.GENERIC, str(error)) from error
        content_digest = case.found.digest(digest_name)
        if signer.signed_octets:
            self._attributes_fit(case, signer, content_digest)
        signed = (
            algorithms.digest(case.scheme.digest, signer.signed_octets)
            if signer.signed_octets
            else content_digest
        )
        try:
            held = algorithms.holds(key, case.scheme, signer.signature, signed)
        except AlgorithmError as error:
            raise _Stop(Indication.TOTAL_FAILED, SubIndication.SIG_CRYPTO_FAILURE, str(error)) from error
        if not held:
            case.integrity = Integrity.BROKEN
            detail = "the signature value does not fit the signed data and the signer's key"
            raise _Stop(Indication.TOTAL_FAILED, SubIndication.SIG_CRYPTO_FAILURE, detail)
        case.integrity = Integrity.INTACT
        return algorithms.weaknesses(key, case.scheme.family, digest_name)

    def _attributes_fit(self, case: _Case, signer: SignerInfo, content_digest: bytes) -> None:
        """RFC 5652 5.3, 11.1, 11.2: signed attributes must name the content's type and its digest."""
        if signer.message_digest is None or signer.content_type is None:
            detail = "the signed attributes lack content-type or message-digest"
            raise _Stop(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail)
        if signer.content_type != case.found.content_type:
            detail = "the signed content-type is not that of the content"
            raise _Stop(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail)
        if signer.message_digest != content_digest:
            case.integrity = Integrity.BROKEN
            detail = "the signed digest is not that of the content"
            raise _Stop(
                Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail, Notice(Code.DOC_MODIFIED, detail)
            )

    def _4_document(self, case: _Case) -> None:
        """What lies outside the signed bytes (EN 319 142-1 annex; SIG_CONSTRAINTS_FAILURE of clause 5.2.8)."""
        codes = {notice.code for notice in case.notices}
        if case.found.coverage.later:
            case.integrity = Integrity.EXTENDED
        constraint = SubIndication.SIG_CONSTRAINTS_FAILURE
        if Code.DOC_MODIFIED in codes:
            raise _Stop(Indication.INDETERMINATE, constraint, "the document was changed after it was signed")
        if Code.UNOWNED_BYTES in codes:
            raise _Stop(
                Indication.INDETERMINATE, constraint, "the file holds bytes that belong to no revision"
            )

    def _5_certificate(self, case: _Case, certificate: Certificate, at: datetime) -> None:
        """Clauses 5.2.5 and 5.2.6: path, validity, status and its freshness."""
        if case.found.kind is SignatureKind.DOCUMENT_TIMESTAMP:
            detail = "the trust in this time-stamp is not evaluated"
            case.notices.append(Notice(Code.TS_NOT_CHECKED))
            raise _Stop(Indication.INDETERMINATE, SubIndication.GENERIC, detail)
        validator = PathValidator(self._anchors, self._known, (*self._crls, *case.found.crls))
        case.path = validator.validate(certificate, _loadable(case.found.certificates), at)
        case.notices.extend(case.path.notices)
        if case.path.failure is not None:
            raise _Stop(Indication.INDETERMINATE, case.path.failure, case.path.detail)

    def _6_acceptance(self, case: _Case, certificate: Certificate, weak: tuple[Notice, ...]) -> None:
        """Clause 5.2.8 and the checks P-1.3 and P-1.4: key usage, allowed algorithms."""
        if not _may_sign_documents(certificate):
            case.notices.append(
                Notice(Code.SCOPE, "keyUsage allows neither digitalSignature nor nonRepudiation")
            )
            detail = "the certificate is not for signing documents"
            raise _Stop(Indication.INDETERMINATE, SubIndication.CHAIN_CONSTRAINTS_FAILURE, detail)
        if weak:
            case.notices.extend(weak)
            detail = f"not allowed any more: {', '.join(n.detail for n in weak)}"
            raise _Stop(Indication.INDETERMINATE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE, detail)

    def _report(self, case: _Case, at: datetime, stop: _Stop | None) -> SignatureReport:
        found = case.found
        if stop is not None:
            case.notices.extend(stop.notices)
        if found.kind is SignatureKind.SIGNATURE and found.signer is not None:
            has = found.signer.has_timestamp
            case.notices.append(Notice(Code.TS_NOT_CHECKED if has else Code.TS_NONE))
        broken = case.integrity is Integrity.BROKEN
        notices = [n for n in case.notices if not (broken and n.code is Code.DOC_INTACT)]
        path = tuple(certificates.summary(c) for c in case.path.path) if case.path is not None else ()
        return SignatureReport(
            name=found.name,
            format=found.format,
            kind=found.kind,
            indication=Indication.TOTAL_PASSED if stop is None else stop.indication,
            sub_indication=None if stop is None else stop.sub,
            integrity=case.integrity,
            coverage=found.coverage if not broken else replace(found.coverage, coverage=Coverage.UNKNOWN),
            signing_time=SigningTime(found.claimed_time, at),
            signer=certificates.summary(case.certificate) if case.certificate is not None else None,
            path=path,
            status=case.path.status if case.path is not None else StatusReport(),
            digest_algorithm=case.scheme.digest if case.scheme is not None else "",
            signature_algorithm=case.scheme.label if case.scheme is not None else "",
            notices=tuple(dict.fromkeys(notices)),
            detail="" if stop is None else stop.detail,
        )


def _document_verdict(
    findings: Findings, reports: tuple[SignatureReport, ...]
) -> tuple[Verdict, tuple[Notice, ...]]:
    if findings.obstacle is not None:
        damaged = findings.obstacle.code is Code.DOC_MALFORMED
        return (Verdict.MALFORMED if damaged else Verdict.INDETERMINATE), (findings.obstacle,)
    verdict = worst(reports)
    return verdict, (Notice(Code.NOT_SIGNED),) if verdict is Verdict.UNSIGNED else ()


def _loadable(ders: Sequence[bytes]) -> list[Certificate]:
    """The certificates among these that can be read; one that cannot is of no use and harms nobody."""
    found: list[Certificate] = []
    for der in ders:
        try:
            found.append(certificates.load(der))
        except CertificateError:
            continue
    return found


def _names(signer: SignerInfo, certificate: Certificate) -> bool:
    if signer.subject_key_id is not None:
        try:
            extension = certificate.extensions().get_extension_for_class(x509.SubjectKeyIdentifier)
        except (x509.ExtensionNotFound, CertificateError):
            return False
        return extension.value.digest == signer.subject_key_id
    if signer.serial != certificate.parsed.serial_number:
        return False
    return signer.issuer == certificate.parsed.issuer.public_bytes() or _same_name(signer.issuer, certificate)


def _same_name(issuer: bytes, certificate: Certificate) -> bool:
    """Names re-encoded by a signer (another string type) are the same when their attributes' text is."""
    try:
        stated = [[_attribute(a) for a in rdn.children()] for rdn in ber.load(issuer)[0].children()]
    except (BerError, IndexError, UnicodeDecodeError):
        return False
    return tuple(tuple(sorted(rdn)) for rdn in stated) == certificate.issuer_key


def _attribute(node: ber.Node) -> tuple[str, str]:
    oid, value = node.children()
    encoding = {0x1E: "utf-16-be", 0x0C: "utf-8"}.get(value.tag, "latin-1")
    return ber.oid(oid), " ".join(value.contents.decode(encoding).split()).casefold()


def _may_sign_documents(certificate: Certificate) -> bool:
    try:
        usage = certificate.extensions().get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.content_commitment
