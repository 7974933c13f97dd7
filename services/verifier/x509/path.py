"""Certification paths: building every candidate from what is at hand, and RFC 5280 validation of each.

Written here and not taken from pyhanko-certvalidator: that library needs its own certificate model (asn1crypto), raises
on certificates with damaged keys instead of judging them, and costs several milliseconds a path.
Builds are bounded: at most MAX_ISSUER_CHECKS signature checks and MAX_PATHS paths for one certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from cryptography.exceptions import UnsupportedAlgorithm

from services.verifier import algorithms
from services.verifier.algorithm_policy import Purpose
from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm, Weakness
from services.verifier.domain import Code, Notice, StatusReport, SubIndication
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.x509 import anchors, certificates, path_checks, revocation
from services.verifier.x509.certificates import Certificate, CertificateError, NameKey
from services.verifier.x509.issuance import check_signature, signed_by
from services.verifier.x509.path_rules import PathRules
from services.verifier.x509.revocation import Status

MAX_PATH_LENGTH = 12
MAX_PATHS = 16
MAX_ISSUER_CHECKS = 120
WEAK_CHAIN = "an algorithm of the chain is not allowed"
MAX_NESTED = 3
"""Paths to the signers of CRLs, to the signers of the CRLs on those, and so on: that deep at most."""


@dataclass(frozen=True, slots=True)
class PathResult:
    """Outcome for the best path found. `failure` None: the path is valid and every status on it was good."""

    path: tuple[Certificate, ...] = ()
    failure: SubIndication | None = None
    detail: str = ""
    status: StatusReport = field(default_factory=StatusReport)
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _Budget:
    checks: int = MAX_ISSUER_CHECKS


@dataclass(frozen=True, slots=True)
class _Task:
    """One validation: when, from what, and for which certificates one is under way already (signers of CRLs)."""

    at: datetime
    pool: tuple[Certificate, ...]
    above: frozenset[Certificate] = frozenset()
    judged: dict[tuple[Certificate, Certificate], bool] = field(default_factory=dict)


class PathValidator:
    """Validates certificates against anchors. Knows no clock: the time of validation is an argument."""

    def __init__(
        self,
        anchors: Iterable[Certificate],
        pool: Iterable[Certificate],
        crls: Iterable[bytes],
        rules: PathRules | None = None,
    ) -> None:
        """`pool` are CA certificates that may be used as intermediates, trusted for nothing by themselves."""
        self._anchors = tuple(dict.fromkeys(anchors))
        self._pool = tuple(dict.fromkeys(pool))
        self._crls = tuple(dict.fromkeys(crls))
        self._rules = rules or PathRules()

    def validate(self, leaf: Certificate, extra: Iterable[Certificate], at: datetime) -> PathResult:
        """Best path from `leaf` to an anchor at time `at`; `extra` are certificates that came with the signature."""
        return self.best(leaf, _Task(at, tuple(dict.fromkeys((*self._pool, *extra)))))

    def with_working_key(self, leaf: Certificate, extra: Iterable[Certificate]) -> Certificate:
        """The certificate with a key whose parameters its issuers state (RFC 5280 6.1.4 d-f), where one does."""
        if leaf.inherits_parameters:
            for path in self._paths(leaf, tuple(dict.fromkeys((*self._pool, *extra)))):
                try:
                    return _working(path)[0]
                except CertificateError:
                    continue
        return leaf

    def best(self, leaf: Certificate, task: _Task) -> PathResult:
        """Best path from `leaf`, as part of a validation under way."""
        best: PathResult | None = None
        for path in self._paths(leaf, task.pool):
            result = self._judge(path, task)
            if result.failure is None:
                return result
            if best is None or _rank(result) < _rank(best):
                best = result
        if best is not None:
            return best
        return PathResult(
            (leaf,),
            SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
            "no path from the signer's certificate to a trust anchor",
            notices=(Notice(Code.CERT_UNTRUSTED), Notice(Code.STATUS_NOT_CHECKED)),
        )

    def _paths(self, leaf: Certificate, pool: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        yield from islice(self._extend((leaf,), pool, _Budget()), MAX_PATHS)

    def _extend(
        self, path: tuple[Certificate, ...], pool: tuple[Certificate, ...], budget: _Budget
    ) -> Iterator[tuple[Certificate, ...]]:
        last = path[-1]
        if last in self._anchors:
            yield path
            return
        if len(path) >= MAX_PATH_LENGTH:
            return
        keys = {_identity(certificate) for certificate in path}
        for issuer in (*self._anchors, *pool):
            # The same name with the same key adds nothing to a path: leaving it out ends every loop, and keeps
            # copies of one self-signed certificate from multiplying the search.
            if issuer.subject_key != last.issuer_key or _identity(issuer) in keys:
                continue
            if budget.checks <= 0:
                return
            budget.checks -= 1
            # A key that lacks its parameters gets them from the path above it: its signatures are checked then.
            if issuer.inherits_parameters or signed_by(last, issuer):
                yield from self._extend((*path, issuer), pool, budget)

    def _judge(self, stated: tuple[Certificate, ...], task: _Task) -> PathResult:
        """RFC 5280 6.1, from the anchor's end down; then the status of each certificate, the signer's last."""
        borne: list[Notice] = []
        weak: list[Weakness] = []
        path = stated
        try:
            path = _working(stated)
            anchored = anchors.judge(self._rules.terms.get(path[-1].sha256, ()), self._rules.purpose, task.at)
            borne += anchored.notices if anchored.failure is None else ()
            fault = self._fault(path, task.at)
            if fault is None and anchored.failure is not None:
                fault = anchored.failure, anchored.detail, anchored.notices
            for index, certificate in enumerate(path[:-1]):
                own, refused = self.weak_link(certificate, path[index + 1], task.at, task.at)
                borne += own
                weak += refused
        except CertificateError as error:
            fault = _general(str(error))
        if fault is not None:
            return PathResult(path, fault[0], fault[1], notices=(*fault[2], *borne, *_told(weak)))
        result = self._with_status(path, task, [*borne, *_told(weak)])
        expired = _leaf_validity(path[0], task.at)
        # Of an expired certificate no status can be had any more: that it is expired is the better answer.
        if expired is not None and result.failure in (None, SubIndication.TRY_LATER):
            return PathResult(path, expired[0], expired[1], result.status, (*result.notices, *expired[2]))
        # A list that is as weak tells no status: that the chain is weak is the better answer.
        if weak and result.failure in (None, SubIndication.TRY_LATER):
            return PathResult(path, algorithms.verdict_on(weak), WEAK_CHAIN, result.status, result.notices)
        return result

    def _fault(self, path: tuple[Certificate, ...], at: datetime) -> _Fault | None:
        for index, certificate in enumerate(path[1:], 1):
            # An anchor is trusted as such (6.1.1 d): its own validity counts only where that is asked for.
            if index == len(path) - 1 and not self._rules.strict:
                continue
            if not certificate.not_before <= at <= certificate.not_after:
                return _general(f"CA certificate {index} of the path is outside its validity")
        reason = path_checks.fault_of(path, self._rules)
        return _general(reason) if reason else None

    def weak_link(
        self, certificate: Certificate, issuer: Certificate, at: datetime, existed: datetime
    ) -> tuple[Sequence[Notice], Sequence[Weakness]]:
        """Weaknesses of the signature on a certificate and of its own key: those borne, and those refused.

        What could be relied on when the certificate is proved to have `existed` counts. Raises CertificateError.
        """
        try:
            scheme = _scheme_of(certificate)
        except (AlgorithmError, UnsupportedAlgorithm):
            unknown = Notice(Code.ALG_WEAK, "unknown signature algorithm in the chain")
            return (), (Weakness(unknown, None),)
        rules, purpose = self._rules, Purpose.CERTIFICATE
        key = certificate.public_key()
        found = algorithms.scheme_faults(scheme, rules.algorithms, purpose, existed)
        found += algorithms.faults(key, "", "", rules.algorithms, purpose, existed)
        # A certificate was signed when its validity began or, where a CA dates back, later.
        found = tuple(replace(one, late=one.late_after(certificate.not_before)) for one in found)
        if rules.legacy is None or not rules.legacy.bears(certificate, issuer, at):
            return (), found
        borne = [one.notice for one in found if one.notice.code is Code.ALG_SHA1]
        return borne, [one for one in found if one.notice.code is not Code.ALG_SHA1]

    def _with_status(self, path: tuple[Certificate, ...], task: _Task, notices: list[Notice]) -> PathResult:
        report = StatusReport()
        if not self._rules.check_status:
            return PathResult(path, None, "", report, tuple(notices))
        signers = _CrlSigners(self, path, task)
        for index in range(len(path) - 2, -1, -1):
            answer = revocation.status_of(
                path[index], path[index + 1], self._crls, task.at, signers, strict=self._rules.strict
            )
            report = answer.report if index == 0 else report
            failure = _status_failure(answer.status, index == 0)
            if failure is not None:
                who = "the signer's certificate" if index == 0 else f"CA certificate {index} of the path"
                detail = f"status of {who}: {answer.status.value}"
                return PathResult(path, failure[0], detail, report, (*failure[1], *notices))
        return PathResult(path, None, "", report, tuple(notices))

    def relies_on(self, digest: str, at: datetime) -> bool:
        """True when a CRL signed over this digest counts: hierarchies with SHA-1 links sign lists with SHA-1 too."""
        rules = self._rules
        if digest == "SHA-1" and rules.legacy is not None:
            return True
        end = rules.algorithms.digest_end(digest, Purpose.CERTIFICATE)
        return end is not None and at < end

    def signs_under(self, signer: Certificate, anchor: Certificate, task: _Task) -> bool:
        """True when a valid path leads from a signer of CRLs to this anchor (RFC 5280 6.3.3 f)."""
        if signer in task.above or len(task.above) >= MAX_NESTED:
            return False
        known = task.judged.get((signer, anchor))
        if known is None:
            nested = _Task(task.at, task.pool, task.above | {signer}, task.judged)
            rules = self._rules.for_crl_signer()
            known = (
                PathValidator((anchor,), self._pool, self._crls, rules).best(signer, nested).failure is None
            )
            # Under another validation the answer may differ: it is remembered for the outermost one only.
            if not task.above:
                task.judged[signer, anchor] = known
        return known


class _CrlSigners:
    """`revocation.Signers` for one path."""

    def __init__(self, validator: PathValidator, path: tuple[Certificate, ...], task: _Task) -> None:
        self._validator, self._path, self._task = validator, path, task

    def rely_on(self, digest: str) -> bool:
        """`revocation.Signers`."""
        return self._validator.relies_on(digest, self._task.at)

    def named(self, name: NameKey) -> Iterator[Certificate]:
        """`revocation.Signers`."""
        for candidate in (*self._path[1:], *self._task.pool):
            if candidate.subject_key == name:
                yield candidate

    def trusted(self, signer: Certificate, certificate: Certificate) -> bool:
        """`revocation.Signers`."""
        # What stands above in the path is judged with the path.
        if signer in self._path[1:]:
            return True
        # A CA may name a signer of lists whose own status only these lists tell: all else about it is being judged.
        if signer == certificate and signer in self._task.above and not signer.self_issued:
            return True
        return self._validator.signs_under(signer, self._path[-1], self._task)


_Fault = tuple[SubIndication, str, tuple[Notice, ...]]


def _general(reason: str) -> _Fault:
    return SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE, reason, (Notice(Code.CERT_UNTRUSTED),)


def _identity(certificate: Certificate) -> tuple[object, bytes]:
    return certificate.subject_key, certificate.key_info


def _rank(result: PathResult) -> int:
    """The more of the path held, the lower: a revoked certificate tells more than an unknown status."""
    order = (
        SubIndication.REVOKED_NO_POE,
        SubIndication.OUT_OF_BOUNDS_NO_POE,
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE,
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
        SubIndication.TRY_LATER,
        SubIndication.REVOKED_CA_NO_POE,
    )
    return order.index(result.failure) if result.failure in order else len(order)


def _working(path: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    """The path with inherited key parameters filled in from above, and the signatures that waited for them checked.

    Raises CertificateError.
    """
    if not any(certificate.inherits_parameters for certificate in path):
        return path
    found = [path[-1]]
    for certificate in reversed(path[:-1]):
        if found[0].inherits_parameters and not check_signature(certificate, found[0]):
            raise CertificateError("a certificate of the path is not signed by the one above it")
        found.insert(0, certificates.with_parameters_of(certificate, found[0]))
    return tuple(found)


def _told(weak: Sequence[Weakness]) -> list[Notice]:
    return [one.notice for one in weak]


def _scheme_of(certificate: Certificate) -> SignatureAlgorithm:
    """What the certificate is signed by. Raises AlgorithmError."""
    try:
        identifier = cms.algorithm(ber.load(certificate.der)[0].children()[1])
    except (BerError, IndexError) as error:
        raise AlgorithmError("the signature algorithm of the certificate cannot be read") from error
    return algorithms.signature_algorithm(identifier, "")


def _leaf_validity(leaf: Certificate, at: datetime) -> _Fault | None:
    outside = SubIndication.OUT_OF_BOUNDS_NO_POE
    if at > leaf.not_after:
        return outside, "the signer's certificate has expired", (Notice(Code.CERT_EXPIRED),)
    if at < leaf.not_before:
        return outside, "the signer's certificate is not yet valid", (Notice(Code.CERT_NOT_YET),)
    return None


def _status_failure(status: Status, leaf: bool) -> tuple[SubIndication, tuple[Notice, ...]] | None:
    """EN 319 102-1 5.2.6.4: what a status means for the chain."""
    if status is Status.GOOD:
        return None
    if status is Status.REVOKED:
        if leaf:
            return SubIndication.REVOKED_NO_POE, (Notice(Code.CERT_REVOKED),)
        return SubIndication.REVOKED_CA_NO_POE, (Notice(Code.CA_REVOKED),)
    if status is Status.HELD:
        return SubIndication.TRY_LATER, (Notice(Code.CERT_HELD),)
    if status is Status.STALE:
        return SubIndication.TRY_LATER, (Notice(Code.STATUS_STALE), Notice(Code.STATUS_NOT_CHECKED))
    return SubIndication.TRY_LATER, (Notice(Code.STATUS_NOT_CHECKED),)
