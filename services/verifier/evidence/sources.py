"""Where evidence comes from: the addresses in a certificate, asked, checked and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier

from services.verifier.config import EgressSettings, EvidenceSettings
from services.verifier.egress.cache import Kept, ValueCache
from services.verifier.egress.client import Egress, Kind, Question
from services.verifier.egress.hosts import EgressError, Reason
from services.verifier.egress.metrics import EgressMetrics
from services.verifier.evidence.values import (
    BadValue,
    Crl,
    OcspQuestion,
    OcspValue,
    Reliance,
    read_certificates,
)
from services.verifier.x509.certificates import MAX_CERTIFICATE_BYTES, Certificate

MAX_ADDRESSES = 4
"""Of one kind that are asked for one certificate, in the certificate's order."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvidenceCache:
    """What was fetched and checked. An eighth of the bytes is for what is small, so that lists do not push it out."""

    certificates: ValueCache[tuple[Certificate, ...]]
    ocsp: ValueCache[OcspValue]
    crls: ValueCache[Crl]

    @classmethod
    def of(cls, settings: EgressSettings, clock: Callable[[], float]) -> EvidenceCache:
        """Make an empty one; `clock` is monotonic, in seconds."""
        small = settings.cache_bytes // 16
        return cls(
            ValueCache(settings.cache_entries, small, clock),
            ValueCache(settings.cache_entries, small, clock),
            ValueCache(settings.cache_entries, settings.cache_bytes - 2 * small, clock),
        )

    @property
    def bytes(self) -> int:
        """Size of what is kept."""
        return self.certificates.bytes + self.ocsp.bytes + self.crls.bytes

    async def close(self) -> None:
        """End what is being fetched."""
        for one in (self.certificates, self.ocsp, self.crls):
            await one.close()


class EvidenceSources:
    """Issuers, OCSP responses and CRLs by the addresses that certificates name. Raises EgressError throughout."""

    def __init__(
        self,
        egress: Egress,
        cache: EvidenceCache,
        settings: EvidenceSettings,
        keep_seconds: float,
        metrics: EgressMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """`keep_seconds` is the longest that anything is kept; `clock` answers aware UTC."""
        self._egress, self._cache, self._settings = egress, cache, settings
        self._keep_seconds, self._metrics, self._clock = keep_seconds, metrics, clock

    async def issuers(self, url: str) -> tuple[Certificate, ...]:
        """What a caIssuers address gives; whose issuers they are is not looked at."""

        async def fetch() -> Kept[tuple[Certificate, ...]]:
            data = await self._egress.ask(Question(Kind.CERTIFICATE, url, MAX_CERTIFICATE_BYTES))
            try:
                found = read_certificates(data)
            except BadValue as error:
                raise EgressError(Reason.BAD_ANSWER, f"{url[:200]} gives {error}") from error
            return Kept(found, len(data), self._keep_seconds)

        return await self._kept(self._cache.certificates, Kind.CERTIFICATE, (url,), fetch)

    async def ocsp(
        self, url: str, certificate: Certificate, issuer: Certificate, reliance: Reliance
    ) -> OcspValue:
        """A checked response about the certificate."""

        async def fetch() -> Kept[OcspValue]:
            try:
                question = OcspQuestion.of(certificate, issuer, with_nonce=self._settings.ocsp_nonce)
                data = await self._egress.ask(
                    Question(
                        Kind.OCSP,
                        url,
                        self._settings.max_ocsp_bytes,
                        question.der,
                        "application/ocsp-request",
                    )
                )
                value = question.read(data, self._clock(), self._settings, reliance)
            except BadValue as error:
                raise EgressError(Reason.BAD_ANSWER, str(error)) from error
            return Kept(value, len(data), self._seconds_until(value.next_update))

        key = (url, certificate.sha256, issuer.sha256)
        return await self._kept(self._cache.ocsp, Kind.OCSP, key, fetch)

    async def crl(self, url: str, certificate: Certificate, issuer: Certificate, reliance: Reliance) -> Crl:
        """A checked list whose scope includes the certificate."""

        async def fetch() -> Kept[Crl]:
            data = await self._egress.ask(Question(Kind.CRL, url, self._settings.max_crl_bytes))
            try:
                crl = await asyncio.to_thread(Crl.read, data)
                await self._require(crl, certificate, issuer, reliance)
            except BadValue as error:
                raise EgressError(Reason.BAD_ANSWER, str(error)) from error
            return Kept(crl, len(data), self._seconds_until(crl.next_update))

        crl = await self._kept(self._cache.crls, Kind.CRL, (url, issuer.sha256), fetch)
        try:
            # It was checked for the certificate that it was fetched for; its scope may leave this one out.
            await self._require(crl, certificate, issuer, reliance)
        except BadValue as error:
            raise EgressError(Reason.BAD_ANSWER, str(error)) from error
        return crl

    async def _require(
        self, crl: Crl, certificate: Certificate, issuer: Certificate, reliance: Reliance
    ) -> None:
        at, skew = self._clock(), timedelta(seconds=self._settings.clock_skew_seconds)
        if crl.is_known(issuer):
            crl.require(certificate, issuer, at, skew, reliance)
        else:
            await asyncio.to_thread(crl.require, certificate, issuer, at, skew, reliance)

    def _seconds_until(self, next_update: datetime | None) -> float:
        if next_update is None:
            return 0.0
        return min(self._keep_seconds, (next_update - self._clock()).total_seconds())

    async def _kept(
        self, cache: ValueCache[T], kind: Kind, key: Hashable, fetch: Callable[[], Awaitable[Kept[T]]]
    ) -> T:
        return await cache.get(key, fetch, self._metrics.hits.labels(kind.value).inc)


def issuer_addresses(certificate: Certificate) -> list[str]:
    """Addresses of the issuer's certificate (RFC 5280 4.2.2.1). Raises CertificateError."""
    return _access(certificate, AuthorityInformationAccessOID.CA_ISSUERS)


def ocsp_addresses(certificate: Certificate) -> list[str]:
    """Addresses of OCSP responders. Raises CertificateError."""
    return _access(certificate, AuthorityInformationAccessOID.OCSP)


def crl_addresses(certificate: Certificate) -> list[str]:
    """Addresses of complete CRLs by the issuer itself (RFC 5280 4.2.1.13). Raises CertificateError."""
    try:
        points = certificate.extensions().get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return _web(
        name for point in points if not (point.crl_issuer or point.reasons) for name in point.full_name or ()
    )


def _access(certificate: Certificate, method: ObjectIdentifier) -> list[str]:
    try:
        access = certificate.extensions().get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return _web(one.access_location for one in access if one.access_method == method)


def _web(names: Iterable[x509.GeneralName]) -> list[str]:
    """HTTP addresses among names, each once; directories (ldap) are left out, for they are never asked."""
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    web = (url for url in found if url.lower().startswith(("http://", "https://")))
    return list(dict.fromkeys(web))[:MAX_ADDRESSES]
