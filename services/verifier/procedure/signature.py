"""The steps of ETSI EN 319 102-1 clauses 5.3, 5.5 and 5.6 for one signature, numbered in their order.

The best signing time is that of the earliest time-stamp over the signature that passed, else the time of checking. What
does not hold any more now may hold by that time; what no time-stamp proves stays as it is now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.verifier import algorithms
from services.verifier.algorithm_policy import Purpose
from services.verifier.domain import (
    Code,
    Coverage,
    Indication,
    Integrity,
    Notice,
    SignatureKind,
    SignatureReport,
    SigningTime,
    StatusReport,
    SubIndication,
    TimeSource,
)
from services.verifier.formats.cms import SignerInfo
from services.verifier.ports import FoundSignature
from services.verifier.procedure import building_blocks, levels, timestamps
from services.verifier.procedure.building_blocks import Signed, Stop
from services.verifier.procedure.past import CLOCK_SKEW, ChainJudge, Material
from services.verifier.procedure.poe import Proofs
from services.verifier.procedure.timestamps import JudgedTimeStamp
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.path import PathResult

_LOCAL_TIME = timedelta(hours=7)
_LOCAL_TIME_SPREAD = timedelta(hours=1)


@dataclass(slots=True)
class _Case:
    """One signature on its way through the steps; holds what the steps before have found out."""

    found: FoundSignature
    notices: list[Notice]
    stamps: tuple[JudgedTimeStamp, ...]
    certificate: Certificate | None = None
    signed: Signed | None = None
    path: PathResult | None = None
    integrity: Integrity = Integrity.UNKNOWN


class Procedure:
    """Judges the signatures of one document, whose time-stamps were judged before."""

    def __init__(
        self,
        chains: ChainJudge | None,
        known: Sequence[Certificate],
        stamps: Mapping[int, JudgedTimeStamp],
        proofs: Proofs,
        at: datetime,
    ) -> None:
        """Without `chains` trust is left out; `stamps` are by the identity of the found time-stamp."""
        self._chains, self._known, self._stamps = chains, tuple(known), stamps
        self._proofs, self._at = proofs, at

    def run(self, found: FoundSignature) -> SignatureReport:
        """Report on one signature. Raises nothing on account of it."""
        case = _Case(found, list(found.notices), tuple(self._stamps[id(s)] for s in found.time_stamps))
        try:
            self._steps(case)
        except Stop as stop:
            return self._report(case, stop)
        except Exception as error:  # noqa: BLE001 - each signature in its own guard: one must not hide the others
            unexpected = Stop(
                Indication.INDETERMINATE,
                SubIndication.GENERIC,
                f"the check failed inside ({type(error).__name__})",
            )
            return self._report(case, unexpected)
        return self._report(case, None)

    def _steps(self, case: _Case) -> None:
        signer = self._1_format(case)
        if self._chains is None and self._bare_key_holds(case, signer):
            self._4_document(case)
            return
        certificate = self._2_identification(case, signer)
        self._3_cryptography(case, signer, certificate)
        self._4_document(case)
        if self._chains is None:
            return
        if case.found.own_stamp is not None:
            self._5_own_time_stamp(case, case.found.own_stamp.kind)
            return
        proved = self._5_time_stamps(case, certificate)
        self._6_certificate(case, self._chains, certificate, proved)
        self._7_acceptance(case, self._chains, certificate, proved)

    def _1_format(self, case: _Case) -> SignerInfo:
        """Clause 5.2.2: what the reader could not make sense of ends here."""
        fault, signer = case.found.fault, case.found.signer
        if fault is not None:
            if signer is not None:
                case.certificate = building_blocks.named_by(signer, self._candidates(case))
            broken = fault.sub_indication is SubIndication.HASH_FAILURE
            raise Stop(fault.indication, fault.sub_indication, fault.detail, *fault.notices, broken=broken)
        if signer is None:
            raise Stop(Indication.INDETERMINATE, SubIndication.GENERIC, "the signature has no signer")
        return signer

    def _candidates(self, case: _Case) -> list[Certificate]:
        return [*building_blocks.loadable(case.found.certificates), *self._known]

    def _bare_key_holds(self, case: _Case, signer: SignerInfo) -> bool:
        """Where no trust is asked for, a key that comes without a certificate shows integrity (XMLDSig KeyValue)."""
        proof = case.found.proof
        named = building_blocks.named_by(signer, self._candidates(case))
        if proof is None or proof.key is None or named is not None:
            return False
        case.signed = building_blocks.check_proof(proof, proof.key)
        case.integrity = Integrity.INTACT
        return True

    def _2_identification(self, case: _Case, signer: SignerInfo) -> Certificate:
        """Clause 5.2.3."""
        candidates = self._candidates(case)
        # The report names the certificate also where its reference turns out not to fit.
        case.certificate = building_blocks.named_by(signer, candidates)
        trusting = self._chains is None
        case.certificate = building_blocks.identify(signer, candidates, trusting=trusting)
        if trusting and building_blocks.has_unusable_reference(signer):
            detail = "the signed reference to the signer's certificate can be no certificate's"
            case.notices.append(Notice(Code.TRUST_LEFT_OUT, detail))
        return case.certificate

    def _3_cryptography(self, case: _Case, signer: SignerInfo, certificate: Certificate) -> None:
        """Clause 5.2.7."""
        found = case.found
        if self._chains is not None:
            certificate = self._chains.with_working_key(certificate, self._candidates(case))
        if found.proof is not None:
            case.signed = building_blocks.check_proof(found.proof, certificate)
        else:
            signed = building_blocks.check_value(signer, certificate, found.content_type, found.digest)
            case.signed = replace(signed, digests=(*signed.digests, *found.digests))
        case.integrity = Integrity.INTACT

    def _4_document(self, case: _Case) -> None:
        """What lies outside the signed bytes (EN 319 142-1 annex; SIG_CONSTRAINTS_FAILURE of clause 5.2.8)."""
        codes = {notice.code for notice in case.notices}
        if case.found.coverage.later:
            case.integrity = Integrity.EXTENDED
        constraint = SubIndication.SIG_CONSTRAINTS_FAILURE
        if Code.DOC_MODIFIED in codes:
            raise Stop(Indication.INDETERMINATE, constraint, "the document was changed after it was signed")
        if Code.NOT_ALL_SIGNED in codes:
            raise Stop(
                Indication.INDETERMINATE, constraint, "the container holds what this signature is not over"
            )
        if Code.UNOWNED_BYTES in codes:
            raise Stop(
                Indication.INDETERMINATE, constraint, "the file holds bytes that belong to no revision"
            )

    def _5_own_time_stamp(self, case: _Case, kind: TimeSource) -> None:
        """Clause 5.4, for a document time-stamp, which is a signature of the document itself."""
        judged = self._own(case)
        if judged is None or judged.found.kind is not kind:
            raise Stop(Indication.INDETERMINATE, SubIndication.GENERIC, "the time-stamp was not judged")
        case.path = judged.path
        if judged.path is not None:
            case.notices.extend(judged.path.notices)
        if not judged.passed:
            raise Stop(Indication.INDETERMINATE, judged.sub_indication, judged.detail, judged.notice())

    def _own(self, case: _Case) -> JudgedTimeStamp | None:
        return None if case.found.own_stamp is None else self._stamps.get(id(case.found.own_stamp))

    def _5_time_stamps(self, case: _Case, certificate: Certificate) -> datetime:
        """Clause 5.5.4: order of times and best signing time, by which the certificate too existed."""
        contradiction = timestamps.contradiction(case.stamps)
        if contradiction:
            raise Stop(Indication.INDETERMINATE, SubIndication.TIMESTAMP_ORDER_FAILURE, contradiction)
        stated, after = self._proofs.stated, timestamps.not_before(case.stamps)
        if stated is not None and after is not None and after - CLOCK_SKEW > stated:
            detail = (
                "a time-stamp in the signature proves that it did not exist at the time that it is judged for"
            )
            raise Stop(Indication.INDETERMINATE, SubIndication.TIMESTAMP_ORDER_FAILURE, detail)
        earliest = timestamps.best(case.stamps)
        times = [self._at, *([earliest.time] if earliest is not None and earliest.time is not None else [])]
        proved = min([*times, *([stated] if stated is not None else [])])
        if proved == self._at:
            return self._at
        if case.found.signer is not None and case.found.signer.references:
            # The signature holds the certificate's digest: where it existed, so did the certificate.
            self._proofs.add([hashlib.sha256(certificate.der).digest()], proved)
        return proved

    def _6_certificate(
        self, case: _Case, chains: ChainJudge, certificate: Certificate, proved: datetime
    ) -> None:
        """Clauses 5.2.5, 5.2.6 and 5.6.2: path, validity, status and its freshness, now or by the proved time."""
        found = case.found
        material = Material(tuple(building_blocks.loadable(found.certificates)), found.crls, found.ocsps)
        judge = chains.judge if self._proofs.stated is None else chains.judge_for
        case.path = judge(certificate, material, self._proofs, proved, self._at)
        case.notices.extend(case.path.notices)
        failed = self._surely_failed(case, certificate)
        if failed is not None:
            detail = "a time-stamp in the signature proves that it was made at another time than it may"
            raise Stop(Indication.TOTAL_FAILED, failed, detail)
        if case.path.failure is not None:
            raise Stop(Indication.INDETERMINATE, case.path.failure, case.path.detail)

    def _surely_failed(self, case: _Case, certificate: Certificate) -> SubIndication | None:
        """Clauses 5.3.4 and 5.5.4: what a proof shows to be younger than the end, or older than the beginning."""
        if case.path is None:
            return None
        failure, revoked = case.path.failure, case.path.status.revoked_at
        after, before = timestamps.not_before(case.stamps), timestamps.best(case.stamps)
        if failure is SubIndication.REVOKED_NO_POE and after is not None and revoked is not None:
            return SubIndication.REVOKED if after - CLOCK_SKEW > revoked else None
        # A certificate that is valid today was not yet when a time-stamp proves the signature to be older than it.
        if failure not in (None, SubIndication.OUT_OF_BOUNDS_NO_POE):
            return None
        if after is not None and after - CLOCK_SKEW > certificate.not_after:
            return SubIndication.EXPIRED
        if before is not None and before.time is not None:
            too_early = before.time + CLOCK_SKEW < certificate.not_before
            return SubIndication.NOT_YET_VALID if too_early else None
        return None

    def _7_acceptance(
        self, case: _Case, chains: ChainJudge, certificate: Certificate, proved: datetime
    ) -> None:
        """Clause 5.2.8 and the checks P-1.3 and P-1.4: key usage, allowed algorithms."""
        reason = ""
        if not building_blocks.may_sign_documents(certificate):
            reason = "keyUsage allows neither digitalSignature nor nonRepudiation"
        elif building_blocks.is_of_a_service(certificate):
            reason = "extKeyUsage allows nothing but servers, time-stamps or OCSP responses"
        if reason:
            case.notices.append(Notice(Code.SCOPE, reason))
            detail = "the certificate is not for signing documents"
            raise Stop(Indication.INDETERMINATE, SubIndication.CHAIN_CONSTRAINTS_FAILURE, detail)
        self._algorithms(case, chains, certificate, proved)

    def _algorithms(
        self, case: _Case, chains: ChainJudge, certificate: Certificate, proved: datetime
    ) -> None:
        """Clauses 5.2.8.4 and 5.5.4: what is not reliable any more counts where it was at the proved time."""
        if case.signed is None:
            return
        policy = chains.rules.algorithms
        now = case.signed.faults(policy, Purpose.SIGNATURE, self._at)
        case.notices.extend(fault.notice for fault in now)
        then = case.signed.faults(policy, Purpose.SIGNATURE, proved) if now else ()
        if then:
            detail = f"not allowed any more: {', '.join(fault.notice.detail for fault in then)}"
            made_later = (
                certificate.not_before if case.found.signer and case.found.signer.references else None
            )
            raise Stop(Indication.INDETERMINATE, algorithms.verdict_on(then, made_later), detail)

    def _report(self, case: _Case, stop: Stop | None) -> SignatureReport:
        found = case.found
        if stop is not None:
            case.notices.extend(stop.notices)
            case.integrity = Integrity.BROKEN if stop.broken else case.integrity
        time = self._signing_time(case)
        case.notices.extend(self._time_notices(case, time))
        broken = case.integrity is Integrity.BROKEN
        notices = [n for n in case.notices if not (broken and n.code is Code.DOC_INTACT)]
        path = tuple(certificates.summary(c) for c in case.path.path) if case.path is not None else ()
        scheme = case.signed.scheme if case.signed is not None else None
        return SignatureReport(
            name=found.name,
            format=levels.name(found, case.stamps, case.certificate, self._known),
            kind=found.kind,
            indication=Indication.TOTAL_PASSED if stop is None else stop.indication,
            sub_indication=None if stop is None else stop.sub,
            integrity=case.integrity,
            coverage=found.coverage if not broken else replace(found.coverage, coverage=Coverage.UNKNOWN),
            signing_time=time,
            signer=certificates.summary(case.certificate) if case.certificate is not None else None,
            path=path,
            status=case.path.status if case.path is not None else StatusReport(),
            digest_algorithm=scheme.digest if scheme is not None else "",
            signature_algorithm=scheme.label if scheme is not None else "",
            notices=tuple(dict.fromkeys(notices)),
            detail="" if stop is None else stop.detail,
            signature_value=found.signer.signature if found.signer is not None else b"",
            signed_digest=_signed_digest(found.signer, case.signed),
        )

    def _signing_time(self, case: _Case) -> SigningTime:
        own = self._own(case)
        earliest = own if own is not None and own.passed else timestamps.best(case.stamps)
        stated = self._proofs.stated
        if earliest is None or earliest.time is None or (stated is not None and stated < earliest.time):
            source = TimeSource.CHECKING if stated is None else TimeSource.STATED
            return SigningTime(case.found.claimed_time, stated or self._at, source)
        unit = certificates.summary(earliest.certificate) if earliest.certificate is not None else None
        name = unit.common_name if unit is not None else ""
        return SigningTime(case.found.claimed_time, min(earliest.time, self._at), earliest.found.kind, name)

    def _time_notices(self, case: _Case, time: SigningTime) -> list[Notice]:
        """What is said of the time-stamps. Where trust is left out, only of those that do not hold."""
        found = case.found
        if found.kind is SignatureKind.DOCUMENT_TIMESTAMP:
            return []
        told = [stamp.notice() for stamp in case.stamps if self._chains is not None or not stamp.sound]
        if found.unjudged_time_stamps:
            told.append(Notice(Code.TS_NOT_CHECKED, "an older form of archive time-stamp, or too many"))
        if found.signer is not None and not case.stamps and not found.unjudged_time_stamps:
            told.append(Notice(Code.TS_NONE))
        if found.claimed_time is not None and time.source is not TimeSource.CHECKING:
            ahead = found.claimed_time - time.best
            if abs(ahead - _LOCAL_TIME) <= _LOCAL_TIME_SPREAD:
                told.append(Notice(Code.TIME_LOCAL_AS_UTC))
        return told


def _signed_digest(signer: SignerInfo | None, signed: Signed | None) -> bytes:
    """What went into the signature value (ETSI TS 119 102-2: DTBSR); empty where the format signs more than octets.

    So it is where the algorithm signs the octets themselves, without a digest (EdDSA).
    """
    if signer is None or signed is None or not signer.signed_octets or not signed.scheme.digest:
        return b""
    return algorithms.digest(signed.scheme.digest, signer.signed_octets)
