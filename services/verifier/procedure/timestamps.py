"""Time-stamp validation (ETSI EN 319 102-1 clause 5.4, RFC 3161): whether a token proves what it is said to prove.

All tokens of a document are judged together, those that protect others first: each that passes is a proof of existence
for what it covers, and so keeps older tokens and their certificates usable after they have expired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.verifier import algorithms
from services.verifier.algorithm_policy import Purpose
from services.verifier.algorithms import AlgorithmError, Weakness
from services.verifier.domain import Code, Indication, Notice, SubIndication, TimeSource
from services.verifier.formats import cms
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import SignedData, SignerInfo, TimestampInfo
from services.verifier.ports import DigestMissing, FoundTimeStamp
from services.verifier.procedure import building_blocks
from services.verifier.procedure.building_blocks import Signed, Stop
from services.verifier.procedure.past import CLOCK_SKEW, ChainJudge, Material
from services.verifier.procedure.poe import Proofs
from services.verifier.x509.certificates import Certificate, CertificateError
from services.verifier.x509.path import PathResult

MAX_TOKENS = 1000
"""Of one document."""
APART = frozenset({TimeSource.CONTENT, TimeSource.REFERENCES})
"""Time-stamps that are not over the signature's value, and prove nothing of it."""
_BAD = frozenset({SubIndication.CHAIN_CONSTRAINTS_FAILURE, SubIndication.TIMESTAMP_ORDER_FAILURE})


@dataclass(frozen=True, slots=True)
class JudgedTimeStamp:
    """One token and what became of it. `sound`: it is over what it has to be over and its signature value holds."""

    found: FoundTimeStamp
    sound: bool = False
    passed: bool = False
    time: datetime | None = None
    certificate: Certificate | None = None
    path: PathResult | None = None
    sub_indication: SubIndication = SubIndication.GENERIC
    detail: str = ""
    signed: Signed | None = None

    def notice(self) -> Notice:
        """What people are told of it."""
        when = f" of {self.time:%Y-%m-%dT%H:%M:%SZ}" if self.time is not None else ""
        what = f"{self.found.kind.value.replace('_', ' ')}{when}"
        if self.passed:
            return Notice(Code.TS_OK, what)
        bad = not self.sound or self.sub_indication in _BAD
        return Notice(Code.TS_BAD if bad else Code.TS_UNDECIDED, f"{what}: {self.detail}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that could be read."""

    message: SignedData
    signer: SignerInfo
    info: TimestampInfo
    content: bytes


def read(data: bytes) -> Token:
    """Read a token (RFC 3161 2.4.2): signed data with one signer over a TSTInfo. Raises BerError."""
    message, rest = cms.parse(data)
    if rest:
        raise BerError(f"{len(rest)} octets follow the time-stamp token")
    if message.content_type != cms.TST_INFO or message.content is None:
        raise BerError("the time-stamp token holds no TSTInfo")
    if len(message.signers) != 1:
        raise BerError(f"a time-stamp token has one signer, this one has {len(message.signers)}")
    signer = message.signers[0]
    if isinstance(signer, BerError):
        raise signer
    return Token(message, signer, cms.timestamp_info(message.content), message.content)


class TimeStampJudge:
    """Judges the tokens of one document; what passes goes into the proofs."""

    def __init__(self, chains: ChainJudge, known: Sequence[Certificate], *, integrity_only: bool) -> None:
        """`known` are certificates that a token may name without carrying them."""
        self._chains = chains.serving(Purpose.TIME_STAMP)
        self._known, self._integrity_only = tuple(known), integrity_only

    def judge_all(
        self, stamps: Iterable[FoundTimeStamp], material: Material, proofs: Proofs, at: datetime
    ) -> dict[int, JudgedTimeStamp]:
        """Outcomes by the identity of the found time-stamp."""
        unique = list({id(stamp): stamp for stamp in stamps}.values())
        outcomes = {
            id(s): JudgedTimeStamp(s, sound=True, detail="too many time-stamps") for s in unique[MAX_TOKENS:]
        }
        checked = [_guarded(self._sound, JudgedTimeStamp(stamp)) for stamp in unique[:MAX_TOKENS]]
        for judged in checked:
            outcomes[id(judged.found)] = judged
        if self._integrity_only:
            return outcomes
        for judged in _outermost_first([one for one in checked if one.sound]):
            outcome = _guarded(lambda one: self._trusted(one, material, proofs, at), judged)
            outcomes[id(outcome.found)] = outcome
            if outcome.passed and outcome.time is not None:
                proofs.add(outcome.found.covers, min(outcome.time, at))
        return outcomes

    def _sound(self, judged: JudgedTimeStamp) -> JudgedTimeStamp:
        """Imprint and signature value, which need no trust."""
        stamp = judged.found
        judged = replace(judged, detail=stamp.fault, sub_indication=SubIndication.FORMAT_FAILURE)
        if stamp.fault:
            return judged
        try:
            token = read(stamp.token)
            label = algorithms.digest_label(token.info.digest_oid)
            judged = replace(judged, time=token.info.time)
            imprint = _imprint(stamp, label)
            if imprint is None:
                # Nothing speaks against it, and nothing for it.
                missing = SubIndication.SIGNED_DATA_NOT_FOUND
                return replace(
                    judged, sound=True, sub_indication=missing, detail="what it is over is missing"
                )
            if imprint != token.info.digest:
                return replace(
                    judged, sub_indication=SubIndication.HASH_FAILURE, detail="it is over something else"
                )
            if not token.signer.has_reference_attribute or not token.signer.signed_octets:
                return replace(judged, detail="the token does not name its signer's certificate")
            own = building_blocks.loadable(token.message.certificates)
            certificate = building_blocks.identify(token.signer, (*own, *self._known))
            signed = building_blocks.check_value(
                token.signer,
                certificate,
                token.message.content_type,
                lambda wanted: algorithms.digest(wanted, token.content),
            )
        except (BerError, AlgorithmError) as error:
            return replace(judged, detail=str(error))
        except Stop as stop:
            undecided = stop.indication is not Indication.TOTAL_FAILED
            return replace(judged, sound=undecided, sub_indication=stop.sub, detail=stop.detail)
        signed = replace(signed, digests=(*signed.digests, label))
        return replace(
            judged, sound=True, certificate=certificate, detail="trust was left out", signed=signed
        )

    def _trusted(
        self, judged: JudgedTimeStamp, material: Material, proofs: Proofs, at: datetime
    ) -> JudgedTimeStamp:
        """Purpose, validity, path and status of the authority; then the order of times."""
        certificate, time = judged.certificate, judged.time
        if certificate is None or time is None:
            return judged
        fault = _authority_fault(certificate, time)
        if fault:
            return replace(judged, sub_indication=SubIndication.CHAIN_CONSTRAINTS_FAILURE, detail=fault)
        existed = proofs.of(judged.found.token)
        # The token names the certificate by its digest, so it is as old as the token.
        proofs.add([hashlib.sha256(certificate.der).digest()], existed)
        own = building_blocks.loadable(read(judged.found.token).message.certificates)
        material = replace(material, certificates=tuple(dict.fromkeys((*material.certificates, *own))))
        path = self._chains.judge(certificate, material, proofs, existed, at)
        path = self._chains.since(path, min(time, existed))
        judged = replace(judged, path=path)
        if path.failure is not None:
            detail = path.detail or "the authority cannot be trusted"
            return replace(judged, sub_indication=path.failure, detail=detail)
        weak = self._weak(judged, existed, at)
        if weak:
            # The token was made when it says, as far as anybody knows: it cannot be older than that.
            refused = algorithms.verdict_on(weak, time)
            return replace(judged, sub_indication=refused, detail="an algorithm of the token is not allowed")
        if time > existed + CLOCK_SKEW:
            order = SubIndication.TIMESTAMP_ORDER_FAILURE
            detail = "its time lies after the time by which it is known to have existed"
            return replace(judged, sub_indication=order, detail=detail)
        return replace(judged, passed=True, detail="")

    def _weak(self, judged: JudgedTimeStamp, existed: datetime, at: datetime) -> tuple[Weakness, ...]:
        """What is not allowed any more and was not either when the token is proved to have existed (5.6.2)."""
        policy, signed = self._chains.rules.algorithms, judged.signed
        if signed is None or not signed.faults(policy, Purpose.TIME_STAMP, at):
            return ()
        return signed.faults(policy, Purpose.TIME_STAMP, existed)


def _imprint(stamp: FoundTimeStamp, label: str) -> bytes | None:
    """The digest that the token has to be over; None where what that is of is not at hand."""
    try:
        return None if stamp.imprint is None else stamp.imprint(label)
    except DigestMissing:
        return None


def _guarded(check: Callable[[JudgedTimeStamp], JudgedTimeStamp], judged: JudgedTimeStamp) -> JudgedTimeStamp:
    try:
        return check(judged)
    except Exception as error:  # noqa: BLE001 - each token in its own guard: one must not hide the others
        return replace(judged, passed=False, detail=f"the check failed inside ({type(error).__name__})")


def _outermost_first(stamps: list[JudgedTimeStamp]) -> list[JudgedTimeStamp]:
    """So that each token comes after all those that cover it. Hashes cannot go in circles, so all of them come."""
    waiting = {id(one): hashlib.sha256(one.found.token).digest() for one in stamps}
    above = {
        id(one): {
            id(other) for other in stamps if other is not one and waiting[id(one)] in other.found.covers
        }
        for one in stamps
    }
    ordered: list[JudgedTimeStamp] = []
    left = list(stamps)
    done: set[int] = set()
    while left:
        ready = [one for one in left if above[id(one)] <= done]
        if not ready:
            # Only a token that claims to cover its own cover gets here; without an order it proves nothing.
            break
        ordered.extend(ready)
        done.update(map(id, ready))
        left = [one for one in left if id(one) not in done]
    return ordered


def _authority_fault(certificate: Certificate, time: datetime) -> str:
    """RFC 3161 2.3: the certificate must be for time-stamps alone, by a critical extended key usage."""
    try:
        usage = certificate.extensions().get_extension_for_class(x509.ExtendedKeyUsage)
        may_sign = building_blocks.may_sign_documents(certificate)
    except (x509.ExtensionNotFound, CertificateError):
        return "the authority's certificate has no extended key usage"
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        return "the authority's certificate is not for time-stamps alone (critical extended key usage)"
    if not may_sign:
        return "the authority's key may not sign (keyUsage)"
    if not certificate.not_before <= time <= certificate.not_after:
        return "the authority's certificate was not valid at the time in the token"
    return ""


def best(stamps: Iterable[JudgedTimeStamp]) -> JudgedTimeStamp | None:
    """The earliest proof of a signature among its tokens, of those that are over its value."""
    passed = [s for s in stamps if s.passed and s.time is not None and s.found.kind not in APART]
    return min(passed, key=lambda s: s.time.timestamp() if s.time is not None else 0.0, default=None)


def not_before(stamps: Iterable[JudgedTimeStamp]) -> datetime | None:
    """The latest time before which the signature surely was not made: that of a time-stamp which it signs itself."""
    times = [s.time for s in stamps if s.passed and s.time is not None and s.found.kind is TimeSource.CONTENT]
    return max(times, default=None)


def contradiction(stamps: Iterable[JudgedTimeStamp]) -> str:
    """Clause 5.5.4, order of times: content before signature before archive. Empty where they are in order."""
    stamps = tuple(stamps)
    wrong = next((s for s in stamps if s.sub_indication is SubIndication.TIMESTAMP_ORDER_FAILURE), None)
    if wrong is not None:
        return f"{wrong.found.kind.value.replace('_', ' ')}: {wrong.detail}"
    earliest = best(stamps)
    for stamp in stamps:
        if earliest is None or earliest.time is None or not stamp.passed or stamp.time is None:
            continue
        if stamp.found.kind is TimeSource.CONTENT and stamp.time > earliest.time + CLOCK_SKEW:
            return "a content time-stamp is of a later time than the signature's own time-stamp"
    return ""
