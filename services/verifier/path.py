"""Certification paths: building them from what is at hand, and RFC 5280 basic validation of each.

Written here and not taken from pyhanko-certvalidator: that library needs its own certificate model (asn1crypto), raises
on certificates with damaged keys instead of judging them, and costs several milliseconds a path. What this module
does not process (name constraints, an explicit policy requirement) makes a path fail, never pass.
Builds are bounded: at most MAX_ISSUER_CHECKS signature checks and MAX_PATHS paths for one certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID

from services.verifier import algorithms, revocation
from services.verifier.algorithms import AlgorithmError
from services.verifier.certificates import Certificate, CertificateError
from services.verifier.domain import Code, Notice, StatusReport, SubIndication
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.revocation import Status

MAX_PATH_LENGTH = 10
MAX_PATHS = 8
MAX_ISSUER_CHECKS = 60

# Extensions whose critical form this module honours: by its own checks, or because with any policy accepted and no
# explicit policy required (RFC 5280 6.1.1) they cannot make a path fail.
_PROCESSED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
}


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


class PathValidator:
    """Validates certificates against anchors. Knows no clock: the time of validation is an argument."""

    def __init__(
        self, anchors: Iterable[Certificate], pool: Iterable[Certificate], crls: Iterable[bytes]
    ) -> None:
        """`pool` are CA certificates that may be used as intermediates, trusted for nothing by themselves."""
        self._anchors = tuple(dict.fromkeys(anchors))
        self._pool = tuple(dict.fromkeys(pool))
        self._crls = tuple(dict.fromkeys(crls))

    def validate(self, leaf: Certificate, extra: Iterable[Certificate], at: datetime) -> PathResult:
        """Best path from `leaf` to an anchor at time `at`; `extra` are certificates that came with the signature."""
        best: PathResult | None = None
        pool = tuple(dict.fromkeys((*self._pool, *extra)))
        for path in self._paths(leaf, pool):
            result = self._judge(path, at)
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
            if signed_by(last, issuer):
                yield from self._extend((*path, issuer), pool, budget)

    def _judge(self, path: tuple[Certificate, ...], at: datetime) -> PathResult:
        """RFC 5280 6.1, from the anchor's end down; then the status of each certificate, the signer's last."""
        notices: list[Notice] = []
        try:
            fault = _basic_fault(path, at)
            for certificate in path[:-1]:
                notices.extend(_weak_link(certificate))
        except CertificateError as error:
            fault = (SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE, str(error), ())
        if fault is not None:
            return PathResult(path, fault[0], fault[1], notices=(*fault[2], *notices))
        result = self._with_status(path, at, notices)
        expired = _leaf_validity(path[0], at)
        # Of an expired certificate no status can be had any more: that it is expired is the better answer.
        if expired is not None and result.failure in (None, SubIndication.TRY_LATER):
            return PathResult(path, expired[0], expired[1], result.status, (*result.notices, *expired[2]))
        if result.failure is None and notices:
            weak = SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
            return PathResult(
                path, weak, "an algorithm of the chain is not allowed", result.status, result.notices
            )
        return result

    def _with_status(self, path: tuple[Certificate, ...], at: datetime, notices: list[Notice]) -> PathResult:
        report = StatusReport()
        for index in range(len(path) - 2, -1, -1):
            answer = revocation.status_of(path[index], path[index + 1], self._crls, at)
            report = answer.report if index == 0 else report
            failure = _status_failure(answer.status, index == 0)
            if failure is not None:
                who = "the signer's certificate" if index == 0 else f"CA certificate {index} of the path"
                detail = f"status of {who}: {answer.status.value}"
                return PathResult(
                    path, failure[0], detail, answer.report if index == 0 else report, (*failure[1], *notices)
                )
        return PathResult(path, None, "", report, tuple(notices))


_Fault = tuple[SubIndication, str, tuple[Notice, ...]]


def _identity(certificate: Certificate) -> tuple[object, bytes]:
    return certificate.subject_key, certificate.key_info


def _rank(result: PathResult) -> int:
    """The more of the path held, the lower: a revoked certificate tells more than an unknown status."""
    order = (
        SubIndication.REVOKED_NO_POE,
        SubIndication.OUT_OF_BOUNDS_NO_POE,
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
        SubIndication.TRY_LATER,
        SubIndication.REVOKED_CA_NO_POE,
    )
    return order.index(result.failure) if result.failure in order else len(order)


def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """True when the issuer's key made the certificate's signature (RFC 5280 6.1.3 a 1, 4.1.1.2)."""
    try:
        outer = ber.load(certificate.der)[0].children()
        fields = outer[0].children()
        stated = fields[2 if fields[0].tag == 0xA0 else 1]
        if stated.encoded != outer[1].encoded:
            return False
        scheme = algorithms.signature_algorithm(cms.algorithm(outer[1]), "")
        value = algorithms.digest(scheme.digest, certificate.parsed.tbs_certificate_bytes)
        return algorithms.holds(issuer.public_key(), scheme, certificate.parsed.signature, value)
    except (BerError, AlgorithmError, CertificateError, IndexError, KeyError):
        # A signature that cannot be read or checked does not bind the certificate to this issuer.
        return False


def _basic_fault(path: tuple[Certificate, ...], at: datetime) -> _Fault | None:
    """First fault by RFC 5280 6.1.3 and 6.1.4, or None. The anchor's own fields are not judged (6.1.1 d)."""
    general = SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE
    below = 0
    for index, certificate in enumerate(path[:-1]):
        unknown = _unknown_critical(certificate)
        if unknown:
            return general, f"critical extension {unknown} is not processed", ()
        if index == 0:
            continue
        if not certificate.not_before <= at <= certificate.not_after:
            return (
                general,
                f"CA certificate {index} of the path is outside its validity",
                (Notice(Code.CERT_UNTRUSTED),),
            )
        reason = _authority_fault(certificate, below)
        if reason:
            return general, f"certificate {index} of the path {reason}", (Notice(Code.CERT_UNTRUSTED),)
        below += 0 if certificate.self_issued else 1
    return None


def _unknown_critical(certificate: Certificate) -> str:
    for extension in certificate.extensions():
        if extension.critical and extension.oid not in _PROCESSED:
            return str(extension.oid.dotted_string)
    # Requirements that are honoured only by refusing: RFC 5280 4.2.1.10 and 4.2.1.11 make them critical, but a CA that
    # forgot the flag meant them none the less.
    for oid in (ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.POLICY_CONSTRAINTS):
        if any(e.oid == oid for e in certificate.extensions()):
            return str(oid.dotted_string)
    return ""


def _authority_fault(certificate: Certificate, below: int) -> str:
    """Why the certificate may not issue the one under it; `below` counts the intermediates under it (6.1.4 k-n)."""
    extensions = certificate.extensions()
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "has no basicConstraints and so is no CA's"
    if not basic.ca:
        return "is no CA's"
    if basic.path_length is not None and below > basic.path_length:
        return f"allows {basic.path_length} CA certificates under it, there are {below}"
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if usage.key_cert_sign else "may not sign certificates (keyUsage)"


def _leaf_validity(leaf: Certificate, at: datetime) -> _Fault | None:
    outside = SubIndication.OUT_OF_BOUNDS_NO_POE
    if at > leaf.not_after:
        return outside, "the signer's certificate has expired", (Notice(Code.CERT_EXPIRED),)
    if at < leaf.not_before:
        return outside, "the signer's certificate is not yet valid", (Notice(Code.CERT_NOT_YET),)
    return None


def _weak_link(certificate: Certificate) -> tuple[Notice, ...]:
    """Weaknesses of the signature on a certificate and of its own key."""
    try:
        hashed = certificate.parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return (Notice(Code.ALG_WEAK, "unknown signature algorithm in the chain"),)
    labels = {"md5": "MD5", "sha1": "SHA-1", "sha224": "SHA-224", "sha3-224": "SHA3-224"}
    digest_name = labels.get(hashed.name, "SHA-256") if hashed is not None else "SHA-256"
    key = certificate.public_key()
    own = key if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None
    return algorithms.weaknesses(own, "", digest_name)


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
