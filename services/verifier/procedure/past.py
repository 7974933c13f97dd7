"""Certification paths judged for a time in the past (ETSI EN 319 102-1 clauses 5.6.2.1 and 5.6.2.2).

A path that holds now needs no proof. One that does not hold any more, because a certificate has expired or was revoked
since, holds for what is proved to have existed while it did. Revocation values and certificates count only where they
are proved to have existed while their issuer's certificate could still vouch for them: a key that was stolen later
makes old lists as easily as new ones.

How old a status may be is its own word: a list or answer speaks for the time until its nextUpdate, as it does in a
validation for now, and one that was issued later than the signature speaks for it in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.x509 import ocsp as ocsp_values

from services.verifier import algorithms
from services.verifier.algorithm_policy import Purpose
from services.verifier.algorithms import SignatureAlgorithm, Weakness
from services.verifier.domain import Code, Notice, StatusReport, StatusSource, SubIndication
from services.verifier.formats import ber
from services.verifier.formats.ber import BerError
from services.verifier.procedure.poe import Proofs
from services.verifier.x509 import anchors, ocsp, revocation, revocation_lists
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.path import WEAK_CHAIN, PathResult, PathValidator
from services.verifier.x509.path_rules import PathRules

CLOCK_SKEW = timedelta(seconds=60)
"""By how much the clocks of a CA, a time-stamp authority and this machine may differ."""
_CURABLE = frozenset(
    {
        SubIndication.REVOKED_NO_POE,
        SubIndication.REVOKED_CA_NO_POE,
        SubIndication.OUT_OF_BOUNDS_NO_POE,
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE,
        SubIndication.TRY_LATER,
        # An intermediate CA's certificate that has expired.
        SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE,
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
    }
)
_REVOKED = frozenset({SubIndication.REVOKED_NO_POE, SubIndication.REVOKED_CA_NO_POE})
_EXPIRED_CERTIFICATES_ON_CRL = "2.5.29.60"
_TOLD = {
    SubIndication.REVOKED_NO_POE: (Code.CERT_REVOKED,),
    SubIndication.REVOKED_CA_NO_POE: (Code.CA_REVOKED,),
}
Relied = Callable[[bytes, SignatureAlgorithm], datetime | None]
"""By when a revocation value surely existed, where it can be relied on; a list that a weak algorithm signs could be
anybody's."""


@dataclass(frozen=True, slots=True)
class Material:
    """Validation material that came with a document; CRLs and OCSP responses in DER."""

    certificates: tuple[Certificate, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """What one CRL or OCSP response says of a certificate. `proved`: by when it existed; `held`: it may come back.

    `remembers`: of certificates that expired after this it still says that they were revoked.
    """

    report: StatusReport
    this_update: datetime
    proved: datetime
    held: bool = False
    remembers: datetime | None = None

    def speaks_for(self, moment: datetime, certificate: Certificate) -> bool:
        """True where it shows that the certificate was good at a moment."""
        revoked = self.report.revoked_at
        if revoked is not None:
            return revoked > moment
        forgets = self.remembers is None or certificate.not_after < self.remembers
        if self.this_update > certificate.not_after and forgets:
            # A CA need not remember certificates that have expired (RFC 5280 3.3).
            return False
        until = self.report.next_update or self.this_update
        return self.this_update >= moment or moment <= until + CLOCK_SKEW


class ChainJudge:
    """Judges certificates for now and, where that fails, for a proved time. Keeps nothing of a document."""

    def __init__(
        self,
        anchors: Iterable[Certificate],
        known: Iterable[Certificate],
        crls: Iterable[bytes],
        rules: PathRules | None = None,
        ocsps: Iterable[bytes] = (),
    ) -> None:
        """`known` are CA certificates at hand, `crls` and `ocsps` the values at hand; documents bring their own too."""
        self.rules = rules or PathRules()
        self._anchors, self._known = tuple(anchors), tuple(known)
        self._crls, self._ocsps = tuple(crls), tuple(ocsps)

    def serving(self, purpose: Purpose) -> ChainJudge:
        """The same for keys that are used for another purpose than signatures."""
        rules = replace(self.rules, purpose=purpose)
        return ChainJudge(self._anchors, self._known, self._crls, rules, self._ocsps)

    def judge(
        self, leaf: Certificate, material: Material, proofs: Proofs, proved: datetime, at: datetime
    ) -> PathResult:
        """Best path as of `at`, or as of `proved`, the time by which what the leaf's key signed existed."""
        material = self._with_own(material)
        validator = PathValidator(self._anchors, self._known, material.crls, self.rules)
        now = self.since(validator.validate(leaf, material.certificates, at), proved)
        if now.failure is None and not material.ocsps:
            return now
        if now.failure is not None and now.failure not in _CURABLE:
            return now
        then = self._past(leaf, material, proofs, proved, at)
        if now.failure is None:
            return then if then.failure in _REVOKED or _is_held(then) else now
        told = then.failure in _REVOKED and now.failure not in _REVOKED
        return then if then.failure is None or told else now

    def judge_for(
        self, leaf: Certificate, material: Material, proofs: Proofs, proved: datetime, at: datetime
    ) -> PathResult:
        """Best path for the time that the caller states, or for the earlier one that is proved; `at` is now.

        What holds today says nothing of that time: a certificate that did not exist yet was not valid.
        """
        stated = proved if proofs.stated is None else proofs.stated
        material = self._with_own(material)
        then = self._past(leaf, material, proofs, stated, at)
        if then.failure is None or proved >= stated:
            return then
        earlier = self._past(leaf, material, proofs, proved, at)
        return earlier if earlier.failure is None else then

    def since(self, result: PathResult, moment: datetime) -> PathResult:
        """The result, failed where its anchor is trusted and was not at a moment: not yet, or between two times."""
        if result.failure is not None:
            return result
        verdict = anchors.judge(self.rules.terms.get(result.path[-1].sha256, ()), self.rules.purpose, moment)
        if verdict.failure is None:
            return result
        notices = (*verdict.notices, *result.notices)
        return replace(result, failure=verdict.failure, detail=verdict.detail, notices=notices)

    def _with_own(self, material: Material) -> Material:
        crls = tuple(dict.fromkeys((*self._crls, *material.crls)))
        return replace(material, crls=crls, ocsps=tuple(dict.fromkeys((*self._ocsps, *material.ocsps))))

    def with_working_key(self, leaf: Certificate, more: Iterable[Certificate]) -> Certificate:
        """The certificate with a key whose parameters its issuers state, where it has none of its own."""
        validator = PathValidator(self._anchors, self._known, (), self.rules)
        return validator.with_working_key(leaf, more)

    def _past(
        self, leaf: Certificate, material: Material, proofs: Proofs, proved: datetime, at: datetime
    ) -> PathResult:
        # Without lists nothing is said of any status: what remains is the path itself, as of the proved time.
        validator = PathValidator(self._anchors, self._known, (), self.rules)
        built = validator.validate(leaf, material.certificates, proved)
        if built.failure not in (None, SubIndication.TRY_LATER):
            return built
        borne, weak = _weak_links(validator, built.path, proofs, proved)
        horizon, report = at, StatusReport()
        for index in range(len(built.path) - 2, -1, -1):
            certificate, issuer = built.path[index], built.path[index + 1]
            words = list(_words(certificate, issuer, material, self._relied(proofs)))
            words = [w for w in words if w.this_update <= at]
            words = [word for word in words if word.proved <= horizon]
            words += self._known_revocations(certificate, issuer, proofs, min(proved, at))
            failure, word = _status(words, certificate, proved, leaf=index == 0)
            report = word.report if word is not None else StatusReport()
            if failure is not None:
                detail = "the status at the proved time is not good"
                told = tuple(Notice(code) for code in _TOLD.get(failure, ()))
                if failure is SubIndication.TRY_LATER and word is not None and word.held:
                    told = (Notice(Code.CERT_HELD),)
                return replace(
                    built, failure=failure, status=report, detail=detail, notices=(*told, *built.notices)
                )
            if proofs.of(certificate.der) > horizon:
                failure = SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE
                detail = "nothing proves that a certificate existed while its issuer could vouch for it"
                return replace(built, failure=failure, detail=detail)
            horizon = min([horizon, certificate.not_after, *_revocations(words)])
        abroad = [notice for notice in built.notices if notice.code is Code.CA_FOREIGN]
        told = (*abroad, *borne, *(one.notice for one in weak), *_later(leaf, report, at))
        if weak:
            return PathResult(built.path, algorithms.verdict_on(weak), WEAK_CHAIN, report, told)
        return PathResult(built.path, None, "", report, told)

    def _known_revocations(
        self, certificate: Certificate, issuer: Certificate, proofs: Proofs, moment: datetime
    ) -> Iterator[Word]:
        """What the own material, not the document's, says of a revocation up to a moment.

        It counts without proof of its age: what speaks for a certificate has to be old enough, what speaks against it
        is not outweighed by an older word that the document brings.
        """
        own = Material((), self._crls, self._ocsps)
        for word in _words(certificate, issuer, own, self._relied(proofs)):
            revoked = word.report.revoked_at
            if not word.held and revoked is not None and revoked <= moment:
                yield word

    def _relied(self, proofs: Proofs) -> Relied:
        """By when a revocation value existed, where its algorithm could be relied on then; else None."""
        policy, legacy = self.rules.algorithms, self.rules.legacy is not None

        def existed(der: bytes, scheme: SignatureAlgorithm) -> datetime | None:
            moment = proofs.of(der)
            found = algorithms.scheme_faults(scheme, policy, Purpose.CERTIFICATE, moment)
            # Hierarchies with pinned SHA-1 links sign their lists with SHA-1 too.
            borne = legacy and scheme.digest == "SHA-1"
            return moment if borne or not found else None

        return existed


def _weak_links(
    validator: PathValidator, path: Sequence[Certificate], proofs: Proofs, moment: datetime
) -> tuple[list[Notice], list[Weakness]]:
    """What is borne on the path, and what could not be relied on any more when each certificate is known to exist."""
    borne: list[Notice] = []
    weak: list[Weakness] = []
    for certificate, issuer in pairwise(path):
        own, refused = validator.weak_link(certificate, issuer, moment, proofs.of(certificate.der))
        borne += own
        weak += refused
    return borne, weak


def _is_held(result: PathResult) -> bool:
    return any(notice.code is Code.CERT_HELD for notice in result.notices)


def _revocations(words: Iterable[Word]) -> list[datetime]:
    return [word.report.revoked_at for word in words if word.report.revoked_at is not None and not word.held]


def _status(
    words: list[Word], certificate: Certificate, moment: datetime, *, leaf: bool
) -> tuple[SubIndication | None, Word | None]:
    """What the words come to at a moment, and the one that decides."""
    for word in words:
        if not word.held and word.report.revoked_at is not None and word.report.revoked_at <= moment:
            return SubIndication.REVOKED_NO_POE if leaf else SubIndication.REVOKED_CA_NO_POE, word
    newest = max(words, key=lambda word: word.this_update, default=None)
    if newest is not None and newest.held and not newest.speaks_for(moment, certificate):
        return SubIndication.TRY_LATER, newest
    good = [word for word in words if word.speaks_for(moment, certificate)]
    # A revocation that came later tells more than an older list without it.
    good.sort(key=lambda word: (word.report.revoked_at is not None, word.this_update))
    return (None, good[-1]) if good else (SubIndication.TRY_LATER, None)


def _later(leaf: Certificate, report: StatusReport, at: datetime) -> tuple[Notice, ...]:
    found = [Notice(Code.CERT_REVOKED_LATER)] if report.revoked_at is not None else []
    return (*found, *([Notice(Code.CERT_EXPIRED_LATER)] if at > leaf.not_after else []))


def has_status(certificate: Certificate, issuer: Certificate, material: Material) -> bool:
    """True where the material holds a revocation value of the issuer that speaks of the certificate."""
    return next(_words(certificate, issuer, material, _today), None) is not None


def _today(_der: bytes, scheme: SignatureAlgorithm) -> datetime | None:
    labels, purpose = (scheme.digest, scheme.mask), Purpose.CERTIFICATE
    weak = any(algorithms.weaknesses(None, "", label, purpose=purpose) for label in labels)
    return None if weak else datetime.max.replace(tzinfo=UTC)


def _words(
    certificate: Certificate, issuer: Certificate, material: Material, relied: Relied
) -> Iterator[Word]:
    yield from _listed(certificate, issuer, material, relied)
    for der in material.ocsps:
        answer = ocsp.answer_for(der, certificate, issuer)
        existed = relied(der, answer.scheme) if answer is not None else None
        if answer is None or existed is None:
            continue
        word, responder = _word_of_answer(answer.single), answer.responder
        if word is None:
            continue
        if responder is None or _stands(responder, issuer, material, relied, word.this_update):
            yield replace(word, proved=existed)


def _listed(
    certificate: Certificate, issuer: Certificate, material: Material, relied: Relied
) -> Iterator[Word]:
    for der in material.crls:
        word = _word_of_crl(der, certificate, issuer)
        scheme = revocation_lists.scheme_of(der) if word is not None else None
        existed = relied(der, scheme) if scheme is not None else None
        if word is not None and existed is not None:
            yield replace(word, proved=existed)


def _stands(
    responder: Certificate, issuer: Certificate, material: Material, relied: Relied, moment: datetime
) -> bool:
    """True where a delegated responder was not revoked, by the CA's lists or because none are issued for it."""
    found = list(_listed(responder, issuer, material, relied))
    if any(word.report.revoked_at is not None for word in found):
        return False
    return ocsp.needs_no_status(responder) or any(word.speaks_for(moment, responder) for word in found)


@lru_cache(maxsize=1024)
def _word_of_crl(der: bytes, certificate: Certificate, issuer: Certificate) -> Word | None:
    try:
        # As for now: a list with a critical extension that is not processed, of its own or of an entry, says nothing.
        crl = revocation_lists.read(der).parsed
        if not revocation.speaks_of(crl, certificate, issuer) or not _signed_by(der, issuer):
            return None
        entry = crl.get_revoked_certificate_by_serial_number(certificate.parsed.serial_number)
        reason = _reason(entry) if entry is not None else None
        remembers = _cutoff(crl.extensions)
    except revocation.UNREADABLE:
        # A list that cannot be read says nothing of any certificate.
        return None
    if entry is None or reason is x509.ReasonFlags.remove_from_crl:
        report = StatusReport(StatusSource.CRL, crl.last_update_utc, crl.next_update_utc)
        return Word(report, crl.last_update_utc, crl.last_update_utc, remembers=remembers)
    stated = x509.ReasonFlags.unspecified if reason is None else reason
    report = StatusReport(
        StatusSource.CRL, crl.last_update_utc, crl.next_update_utc, entry.revocation_date_utc, stated.value
    )
    held = reason is x509.ReasonFlags.certificate_hold
    return Word(report, crl.last_update_utc, crl.last_update_utc, held)


def _cutoff(extensions: x509.Extensions) -> datetime | None:
    """ExpiredCertsOnCRL (X.509 9.5.2.8): since when the list keeps certificates that have expired."""
    for extension in extensions:
        value = extension.value
        if (
            isinstance(value, x509.UnrecognizedExtension)
            and value.oid.dotted_string == _EXPIRED_CERTIFICATES_ON_CRL
        ):
            try:
                return ber.time(ber.load(value.value)[0])
            except BerError:
                return None
    return None


@lru_cache(maxsize=1024)
def _signed_by(der: bytes, issuer: Certificate) -> bool:
    return revocation.load(der).is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            return extension.value.reason
    return None


def _word_of_answer(single: ocsp_values.OCSPSingleResponse) -> Word | None:
    this_update, status = single.this_update_utc, single.certificate_status
    if status is ocsp_values.OCSPCertStatus.UNKNOWN:
        return None
    report = StatusReport(StatusSource.OCSP, this_update, single.next_update_utc)
    if status is ocsp_values.OCSPCertStatus.GOOD:
        return Word(report, this_update, this_update)
    reason = single.revocation_reason
    report = replace(
        report, revoked_at=single.revocation_time_utc, reason=reason.value if reason is not None else ""
    )
    return Word(report, this_update, this_update, reason is x509.ReasonFlags.certificate_hold)
