"""Status of a certificate from CRLs: RFC 5280 6.3, with indirect, partitioned and delta CRLs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from cryptography import x509

from services.verifier.domain import StatusReport, StatusSource
from services.verifier.x509 import revocation_lists
from services.verifier.x509.certificates import Certificate, CertificateError, NameKey, is_authority, name_key
from services.verifier.x509.revocation_lists import UNREADABLE, RevocationList, UnknownCriticalError

__all__ = ["UNREADABLE", "Answer", "Signers", "Status", "load", "speaks_of", "status_of"]

load = revocation_lists.parse
_ALL_REASONS = frozenset(x509.ReasonFlags) - {
    x509.ReasonFlags.unspecified,
    x509.ReasonFlags.remove_from_crl,
}
_GeneralNameKey = tuple[str, object]


class Status(Enum):
    """What the CRLs say of a certificate at a time."""

    GOOD = "good"
    REVOKED = "revoked"
    HELD = "held"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the evidence for it."""

    status: Status
    report: StatusReport


class Signers(Protocol):
    """Whose CRLs count besides those of the certificate's own issuer with its own key, and by which algorithms."""

    def rely_on(self, digest: str) -> bool:
        """True when signatures over this digest, such as "SHA-256", may tell a status."""
        ...

    def named(self, name: NameKey) -> Iterable[Certificate]:
        """Certificates with this subject that may have signed a CRL."""
        ...

    def trusted(self, signer: Certificate, certificate: Certificate) -> bool:
        """True when a valid path leads from it to the anchor of the path that is judged (6.3.3 f).

        `certificate` is the one whose status is asked for.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Point:
    """One distribution point of the certificate; `names` None: it has none of its own."""

    names: frozenset[_GeneralNameKey] | None
    reasons: frozenset[x509.ReasonFlags]
    issuers: frozenset[_GeneralNameKey]


@dataclass(frozen=True, slots=True)
class _Usable:
    """What a complete CRL, with its newest applicable delta, says for some of the reasons."""

    answer: Answer
    reasons: frozenset[x509.ReasonFlags]
    fresh: bool


@dataclass(frozen=True, slots=True)
class _Question:
    certificate: Certificate
    issuer: Certificate
    at: datetime
    signers: Signers | None
    points: tuple[_Point, ...]


def status_of(
    certificate: Certificate,
    issuer: Certificate,
    crls: Iterable[bytes],
    at: datetime,
    signers: Signers | None = None,
    *,
    strict: bool = False,
) -> Answer:
    """Newest usable word on `certificate`. STALE: only CRLs past their nextUpdate are there.

    `signers` None: only lists by `issuer`'s own key count. `strict`: lists without the extensions that RFC 5280 5.2
    demands (authority key identifier, CRL number, neither critical) do not count.
    """
    question = _Question(certificate, issuer, at, signers, _points(certificate, issuer))
    lists = [crl for crl in _readable(crls) if crl.parsed.last_update_utc <= at]
    if strict:
        lists = [crl for crl in lists if revocation_lists.conforms(crl)]
    lists.sort(key=lambda crl: crl.parsed.last_update_utc, reverse=True)
    usable = list(_usable(question, lists))
    fresh = [u for u in usable if u.fresh]
    answer = _decide(fresh)
    if answer is not None and (answer.status is not Status.UNKNOWN or len(fresh) == len(usable)):
        return answer
    # A revocation in an old list still stands; the absence of one says nothing about today.
    old = _decide([u for u in usable if not u.fresh])
    if old is None:
        return answer or Answer(Status.UNKNOWN, StatusReport())
    return Answer(Status.STALE, old.report) if old.status is Status.GOOD else old


def _readable(crls: Iterable[bytes]) -> Iterator[RevocationList]:
    for der in crls:
        try:
            yield revocation_lists.read(der)
        except UNREADABLE:
            # A list that cannot be read is as good as none: the answer is then that the status is unknown.
            continue


def _usable(question: _Question, lists: list[RevocationList]) -> Iterator[_Usable]:
    for crl in lists:
        if crl.base_number is not None:
            continue
        try:
            reasons = _scope(question, crl)
            signer = _signer(question, crl) if reasons else None
            if signer is None:
                continue
            delta = _delta(question, crl, signer, lists)
            answer = _entry(question.certificate, (crl,) if delta is None else (delta, crl))
        except UNREADABLE:
            continue
        yield _Usable(answer, reasons, delta is not None or _is_fresh(crl, question.at))


def _is_fresh(crl: RevocationList, at: datetime) -> bool:
    return crl.parsed.next_update_utc is not None and at <= crl.parsed.next_update_utc


def _decide(usable: list[_Usable]) -> Answer | None:
    """6.3.3 (d), (e), (i) to (l): newest first, until a revocation is found or every reason is spoken for."""
    covered: frozenset[x509.ReasonFlags] = frozenset()
    newest: Answer | None = None
    for one in usable:
        if one.reasons <= covered:
            continue
        newest = newest or one.answer
        if one.answer.status is not Status.GOOD:
            return one.answer
        covered |= one.reasons
    if newest is not None and not covered >= _ALL_REASONS:
        return Answer(Status.UNKNOWN, newest.report)
    return newest


def _points(certificate: Certificate, issuer: Certificate) -> tuple[_Point, ...]:
    """The certificate's distribution points, and the one that 6.3.3 adds: the issuer's name, every reason."""
    implied = _Point(frozenset({("directoryName", issuer.subject_key)}), _ALL_REASONS, frozenset())
    try:
        stated = certificate.extensions().get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, CertificateError):
        return (implied,)
    found = []
    for point in stated:
        issuers = frozenset(_key(n) for n in point.crl_issuer or ())
        names: frozenset[_GeneralNameKey] | None = None
        if point.full_name is not None:
            names = frozenset(_key(n) for n in point.full_name)
        elif point.relative_name is not None:
            bases = [
                name_key(n.value) for n in point.crl_issuer or () if isinstance(n, x509.DirectoryName)
            ] or [issuer.subject_key]
            names = frozenset(_below(base, point.relative_name) for base in bases)
        found.append(_Point(names, frozenset(point.reasons or _ALL_REASONS), issuers))
    return (*found, implied)


def _key(name: x509.GeneralName) -> _GeneralNameKey:
    if isinstance(name, x509.DirectoryName):
        return "directoryName", name_key(name.value)
    return type(name).__name__, name.value


def _below(base: NameKey, relative: x509.RelativeDistinguishedName) -> _GeneralNameKey:
    return "directoryName", (*base, *name_key(x509.Name([relative])))


def _scope(question: _Question, crl: RevocationList) -> frozenset[x509.ReasonFlags]:
    """6.3.3 (b) and (d): the reasons for which the list speaks of the certificate; empty when it does not."""
    idp = crl.point
    reasons = _ALL_REASONS
    if idp is not None:
        authority = is_authority(question.certificate)
        if idp.only_contains_attribute_certs or (idp.only_contains_user_certs and authority):
            return frozenset()
        if idp.only_contains_ca_certs and not authority:
            return frozenset()
        if idp.only_some_reasons is not None:
            reasons = frozenset(idp.only_some_reasons)
    found: frozenset[x509.ReasonFlags] = frozenset()
    for point in question.points:
        if _serves(question.issuer, crl, point):
            found |= point.reasons & reasons
    return found


def _serves(issuer: Certificate, crl: RevocationList, point: _Point) -> bool:
    """6.3.3 (b) (1) and (2) (i): the list's issuer and distribution point are those that the point names."""
    idp = crl.point
    if point.issuers:
        if ("directoryName", crl.issuer_key) not in point.issuers or idp is None or not idp.indirect_crl:
            return False
    elif crl.issuer_key != issuer.subject_key:
        return False
    own = {_key(n) for n in (idp.full_name if idp is not None else None) or ()}
    if idp is not None and idp.relative_name is not None:
        own.add(_below(crl.issuer_key, idp.relative_name))
    if not own:
        return True
    return not own.isdisjoint(point.issuers if point.names is None else point.names)


def _signer(question: _Question, crl: RevocationList) -> Certificate | None:
    """6.3.3 (f) and (g): who signed the list, and may: the issuer itself, or one with a path of its own."""
    own = question.issuer
    if question.signers is not None and not question.signers.rely_on(revocation_lists.digest_of(crl.der)):
        return None
    if crl.issuer_key == own.subject_key and _may_sign_crls(own) and revocation_lists.signed_by(crl.der, own):
        return own
    if question.signers is None:
        return None
    for candidate in question.signers.named(crl.issuer_key):
        if (
            candidate.key_info != own.key_info
            and _may_sign_crls(candidate)
            and revocation_lists.signed_by(crl.der, candidate)
            and question.signers.trusted(candidate, question.certificate)
        ):
            return candidate
    return None


def _delta(
    question: _Question, base: RevocationList, signer: Certificate, lists: list[RevocationList]
) -> RevocationList | None:
    """6.3.3 (c) and (h), 5.2.4: the newest delta that builds on this list, is by the same key and still current."""
    if base.number is None:
        return None
    for delta in lists:
        if (
            delta.base_number is not None
            and delta.number is not None
            and delta.base_number <= base.number < delta.number
            and delta.issuer_key == base.issuer_key
            and delta.point == base.point
            and delta.authority_key == base.authority_key
            and _is_fresh(delta, question.at)
            and (question.signers is None or question.signers.rely_on(revocation_lists.digest_of(delta.der)))
            and revocation_lists.signed_by(delta.der, signer)
        ):
            return delta
    return None


def speaks_of(crl: x509.CertificateRevocationList, certificate: Certificate, issuer: Certificate) -> bool:
    """True when the CRL is the issuer's, complete, and its scope includes the certificate.

    Raises one of UNREADABLE. The signature is not looked at.
    """
    try:
        listed = revocation_lists.describe(crl, b"")
    except UnknownCriticalError:
        return False
    if listed.base_number is not None or listed.issuer_key != issuer.subject_key:
        return False
    question = _Question(certificate, issuer, crl.last_update_utc, None, _points(certificate, issuer))
    direct = listed.point is None or not listed.point.indirect_crl
    return direct and _may_sign_crls(issuer) and _scope(question, listed) >= _ALL_REASONS


def _may_sign_crls(issuer: Certificate) -> bool:
    try:
        usage = issuer.extensions().get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.crl_sign


def _entry(certificate: Certificate, lists: tuple[RevocationList, ...]) -> Answer:
    """6.3.3 (i) to (k): the word of a delta goes before that of the list it builds on."""
    for crl in lists:
        parsed = crl.parsed
        seen = StatusReport(StatusSource.CRL, parsed.last_update_utc, parsed.next_update_utc)
        entry = crl.entry(certificate)
        # Also one that is dated ahead: the lists were issued by `at`, and their issuer has given the certificate up.
        if entry is None:
            continue
        reason = x509.ReasonFlags.unspecified
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason
        if reason is x509.ReasonFlags.remove_from_crl:
            return Answer(Status.GOOD, seen)
        report = StatusReport(
            StatusSource.CRL, seen.produced_at, seen.next_update, entry.revocation_date_utc, reason.value
        )
        held = reason is x509.ReasonFlags.certificate_hold
        return Answer(Status.HELD if held else Status.REVOKED, report)
    newest = lists[0].parsed
    return Answer(Status.GOOD, StatusReport(StatusSource.CRL, newest.last_update_utc, newest.next_update_utc))
