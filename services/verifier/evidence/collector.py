"""What validates certificates later: their issuers up to the anchor, and a revocation value for each but the roots.

Values are had, in this order, from the CRLs that came with the registry's trust, by OCSP, and by CRL over HTTP. What is
collected is not judged: that a certificate is revoked, or its root not trusted, is for the validation to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

from services.kernel.errors import FieldInvalid
from services.verifier.config import EvidenceSettings
from services.verifier.egress.hosts import EgressError, Reason
from services.verifier.egress.metrics import EgressMetrics
from services.verifier.evidence.sources import (
    EvidenceSources,
    crl_addresses,
    issuer_addresses,
    ocsp_addresses,
)
from services.verifier.evidence.values import BadValue, Crl, Reliance
from services.verifier.ports import TrustMaterial, TrustSource
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import MAX_CERTIFICATE_BYTES, Certificate, CertificateError
from services.verifier.x509.issuance import signed_by
from services.verifier.x509.ocsp import is_responder, needs_no_status

MAX_GIVEN = 64
MAX_CERTIFICATES = 128
"""Given ones, issuers and OCSP responders together."""
MAX_DETAIL_CHARACTERS = 400
NEWS_SECONDS = 0.5
"""Where something is missing, trust that is older than this is asked for anew."""
T = TypeVar("T")


class Cause(StrEnum):
    """Reasons of `MissingEvidence` beside those of EgressError."""

    ISSUER_UNKNOWN = "ISSUER_UNKNOWN"
    NO_SOURCE = "NO_SOURCE"


@dataclass(frozen=True, slots=True)
class Missing:
    """A certificate without evidence, and why."""

    certificate: Certificate
    reason: str
    detail: str


@dataclass(slots=True)
class Collected:
    """What was found, DER, in the order of finding, without repetition."""

    certificates: dict[Certificate, None] = field(default_factory=dict)
    crls: dict[bytes, None] = field(default_factory=dict)
    ocsp_responses: dict[bytes, None] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a certificate led to."""

    certificate: Certificate
    more: tuple[Certificate, ...] = ()
    crl: bytes = b""
    ocsp: bytes = b""
    missing: Missing | None = None


class _None(Exception):
    """There is no value; carries the reason and its detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class _Trust:
    """The registry's material, read."""

    anchors: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...]
    crls: tuple[Crl, ...]
    reliance: Reliance = field(default_factory=Reliance)

    @classmethod
    def read(cls, material: TrustMaterial) -> _Trust:
        """Read it; what cannot be read is of no use. Large lists: runs in a thread."""
        return cls(
            tuple(_readable(material.anchors, certificates.load)),
            tuple(_readable(material.intermediates, certificates.load)),
            tuple(_readable(material.crls, Crl.read)),
            Reliance(material.algorithms, sha1_lists=bool(material.sha1_links)),
        )


class EvidenceCollector:
    """Collects evidence. Keeps nothing but the registry's material, read."""

    def __init__(
        self,
        sources: EvidenceSources,
        trust: TrustSource,
        settings: EvidenceSettings,
        metrics: EgressMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` answers aware UTC."""
        self._sources, self._trust_source, self._settings = sources, trust, settings
        self._metrics, self._clock = metrics, clock
        self._material: TrustMaterial | None = None
        self._trust = _Trust((), (), ())

    async def collect(self, given: Sequence[bytes], seconds: float | None = None) -> Collected:
        """Find evidence for certificates (DER) within `seconds` (None: as the settings say).

        Raises FieldInvalid, and ServiceUnavailable without any trust.
        """
        first = _read(given)
        limit = asyncio.get_running_loop().time() + (seconds or self._settings.total_seconds)
        trust = await self._current_trust()
        collected = await self._collect(first, trust, limit)
        if collected.missing:
            # A CA or a list that the registry has had for a moment only.
            newer = await self._current_trust(NEWS_SECONDS)
            if newer is not trust:
                collected = await self._collect(first, newer, limit)
        for missing in collected.missing:
            self._metrics.missing.labels(missing.reason).inc()
        return collected

    async def _collect(self, first: Sequence[Certificate], trust: _Trust, limit: float) -> Collected:
        collected = Collected()
        pending = [one for one in first if _is_new(one, collected)]
        while pending:
            # Issuers are looked for among all that is known by now.
            known = tuple(collected.certificates)
            found = await asyncio.gather(*(self._within(limit, one, known, trust) for one in pending))
            pending = [one for each in found for one in self._take(each, collected)]
        return collected

    async def _current_trust(self, within_seconds: float | None = None) -> _Trust:
        material = await self._trust_source.current(within_seconds)
        if material is not self._material:
            self._trust = await asyncio.to_thread(_Trust.read, material)
            self._material = material
        return self._trust

    def _take(self, found: _Found, collected: Collected) -> list[Certificate]:
        """Put in what was found; return the certificates that are new."""
        if found.missing is not None:
            collected.missing.append(found.missing)
        for value, values in ((found.crl, collected.crls), (found.ocsp, collected.ocsp_responses)):
            if not value or value in values:
                continue
            if collected.size + len(value) > self._settings.max_answer_bytes:
                detail = f"with it the evidence would have more than {self._settings.max_answer_bytes} bytes"
                collected.missing.append(Missing(found.certificate, Reason.TOO_LARGE, detail))
                continue
            values[value] = None
            collected.size += len(value)
        return [one for one in found.more if _is_new(one, collected)]

    async def _within(
        self, limit: float, certificate: Certificate, known: Sequence[Certificate], trust: _Trust
    ) -> _Found:
        try:
            async with asyncio.timeout_at(limit):
                return await self._of_one(certificate, known, trust)
        except _None as none:
            return _missing(certificate, none.reason, none.detail)
        except CertificateError as error:
            return _missing(certificate, Reason.BAD_ANSWER, str(error))
        except TimeoutError:
            seconds = self._settings.total_seconds
            return _missing(certificate, Reason.UNREACHABLE, f"it was not there within {seconds:g} s")

    async def _of_one(self, certificate: Certificate, known: Sequence[Certificate], trust: _Trust) -> _Found:
        if certificate in trust.anchors or _is_root(certificate):
            return _Found(certificate)
        issuer = await self._issuer(certificate, known, trust)
        if needs_no_status(certificate):
            return _Found(certificate, (issuer,))
        try:
            value = await self._value(certificate, issuer, trust)
        except _None as none:
            return _Found(certificate, (issuer,), missing=Missing(certificate, none.reason, none.detail))
        return replace(value, more=(issuer, *value.more))

    async def _issuer(
        self, certificate: Certificate, known: Sequence[Certificate], trust: _Trust
    ) -> Certificate:
        issuer = _issuer_among(certificate, (*trust.anchors, *trust.intermediates, *known))
        if issuer is not None:
            return issuer
        failures = []
        for url in issuer_addresses(certificate):
            try:
                issuer = _issuer_among(certificate, await self._sources.issuers(url))
            except EgressError as error:
                failures.append(error.detail)
                continue
            if issuer is not None:
                return issuer
            failures.append("what the certificate's address gives did not issue it")
        detail = "; ".join(failures) or "nobody here has it and the certificate names no address for it"
        raise _None(Cause.ISSUER_UNKNOWN, detail)

    async def _value(self, certificate: Certificate, issuer: Certificate, trust: _Trust) -> _Found:
        failures: list[EgressError] = []
        own = await self._registrys_word(certificate, issuer, trust)
        if isinstance(own, bytes):
            return _Found(certificate, crl=own)
        if own is not None:
            failures.append(own)
        # A responder's word on itself says nothing: of its certificate only the CA's list is taken.
        for url in () if is_responder(certificate) else ocsp_addresses(certificate):
            try:
                answer = await self._sources.ocsp(url, certificate, issuer, trust.reliance)
            except EgressError as error:
                failures.append(error)
                continue
            more = (answer.responder,) if answer.responder else ()
            return _Found(certificate, more, ocsp=answer.der)
        for url in crl_addresses(certificate):
            try:
                crl = await self._sources.crl(url, certificate, issuer, trust.reliance)
            except EgressError as error:
                failures.append(error)
                continue
            return _Found(certificate, crl=crl.der)
        raise _gave_nothing(failures)

    async def _registrys_word(
        self, certificate: Certificate, issuer: Certificate, trust: _Trust
    ) -> bytes | EgressError | None:
        """The CRL that the registry knows of the issuer; an error where it knows one that is of no use."""
        refused: EgressError | None = None
        at, skew = self._clock(), timedelta(seconds=self._settings.clock_skew_seconds)
        for crl in trust.crls:
            if certificates.name_key(crl.parsed.issuer) != issuer.subject_key:
                continue
            try:
                if crl.is_known(issuer):
                    crl.require(certificate, issuer, at, skew, trust.reliance)
                else:
                    await asyncio.to_thread(crl.require, certificate, issuer, at, skew, trust.reliance)
            except BadValue as error:
                refused = EgressError(Reason.BAD_ANSWER, f"the registry's own: {error}")
                continue
            return crl.der
        return refused


def _read(given: Sequence[bytes]) -> list[Certificate]:
    if not 1 <= len(given) <= MAX_GIVEN:
        raise FieldInvalid(f"name 1 to {MAX_GIVEN} certificates", field="certificates")
    found = []
    for index, der in enumerate(given):
        if not 0 < len(der) <= MAX_CERTIFICATE_BYTES:
            raise FieldInvalid(
                f"certificate {index} must have 1 to {MAX_CERTIFICATE_BYTES} bytes", field="certificates"
            )
        try:
            found.append(certificates.load(der))
        except CertificateError as error:
            raise FieldInvalid(f"certificate {index} cannot be read", field="certificates") from error
    return found


def _readable(values: Iterable[bytes], read: Callable[[bytes], T]) -> Iterator[T]:
    for value in values:
        try:
            yield read(value)
        except (CertificateError, BadValue):
            continue


def _is_new(certificate: Certificate, collected: Collected) -> bool:
    """Note a certificate; say whether it is new and so to be looked at."""
    if certificate in collected.certificates:
        return False
    if len(collected.certificates) >= MAX_CERTIFICATES:
        detail = f"more than {MAX_CERTIFICATES} certificates would be needed"
        collected.missing.append(Missing(certificate, Reason.TOO_LARGE, detail))
        return False
    collected.certificates[certificate] = None
    return True


def _is_root(certificate: Certificate) -> bool:
    return certificate.self_issued and signed_by(certificate, certificate)


def _issuer_among(certificate: Certificate, candidates: Iterable[Certificate]) -> Certificate | None:
    for candidate in dict.fromkeys(candidates):
        if candidate.subject_key == certificate.issuer_key and candidate != certificate:
            try:
                if _may_issue(candidate) and signed_by(certificate, candidate):
                    return candidate
            except CertificateError:
                continue
    return None


def _may_issue(certificate: Certificate) -> bool:
    """RFC 5280 6.1.4 (k) and (n). Raises CertificateError."""
    if certificate.parsed.version is x509.Version.v1:
        # Old roots have no extensions at all.
        return certificate.self_issued
    try:
        extensions = certificate.extensions()
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca:
            return False
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as error:
        return error.oid == x509.KeyUsage.oid


def _gave_nothing(failures: Sequence[EgressError]) -> _None:
    if not failures:
        return _None(
            Cause.NO_SOURCE,
            "it names neither an OCSP responder nor a revocation list, and the registry has none",
        )
    # The reason that says most: what was refused here stands behind what somebody answered.
    order = (Reason.BAD_ANSWER, Reason.TOO_LARGE, Reason.UNREACHABLE, Reason.NOT_ALLOWED)
    reason = min((failure.reason for failure in failures), key=order.index)
    return _None(reason, "; ".join(dict.fromkeys(failure.detail for failure in failures)))


def _missing(certificate: Certificate, reason: str, detail: str) -> _Found:
    return _Found(certificate, missing=Missing(certificate, reason, detail))


def sentence(missing: Missing) -> str:
    """For people: which certificate, by its serial number and issuer (its subject may be a person), and why."""
    parsed = missing.certificate.parsed
    names = [str(one.value) for one in parsed.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)]
    whose = f" of {names[0][:100]}" if names else ""
    return f"certificate {parsed.serial_number:x}{whose}: {missing.detail[:MAX_DETAIL_CHARACTERS]}"
