"""Revocation values from outside: what makes a CRL or an OCSP response one that can be relied on for a certificate.

They are read in the serving process, not in a document worker: what reads them is the `cryptography` package's parser
in Rust and, for the outer layers, `formats.ber`, which checks every length; sizes are bounded before, nesting within;
this process holds no key but its own of the mesh; and a worker would have to be handed 32 MiB and hand them back. Large
lists are read in a thread, so that the event loop goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp

from services.verifier import algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose
from services.verifier.algorithms import SignatureAlgorithm
from services.verifier.config import EvidenceSettings
from services.verifier.formats import ber, cms
from services.verifier.x509 import certificates, revocation, revocation_lists
from services.verifier.x509 import ocsp as responses
from services.verifier.x509.certificates import Certificate, CertificateError
from services.verifier.x509.ocsp import OcspRefused, whole_octets

MAX_ISSUERS = 8
NONCE_BYTES = 32
"""RFC 9654 section 2.1: the length that a client should use."""


class BadValue(Exception):
    """The value cannot be relied on; the message is a clause that says why."""


@dataclass(frozen=True, slots=True)
class Reliance:
    """By which algorithms values may be signed. `sha1_lists`: hierarchies with pinned SHA-1 links sign lists with it."""

    policy: AlgorithmPolicy = field(default_factory=algorithms.default_policy)
    sha1_lists: bool = False

    def on_list(self, scheme: SignatureAlgorithm, at: datetime) -> bool:
        """True where a CRL that is signed so counts."""
        return (self.sha1_lists and scheme.digest == "SHA-1") or self.on_response(scheme, at)

    def on_response(self, scheme: SignatureAlgorithm, at: datetime) -> bool:
        """The same for an OCSP response."""
        purpose = Purpose.CERTIFICATE
        return not algorithms.scheme_faults(scheme, self.policy, purpose, at)


_USUAL = Reliance()


@dataclass(slots=True)
class Crl:
    """A complete CRL. Whether a key signed it is found out once for each key."""

    der: bytes
    parsed: x509.CertificateRevocationList
    this_update: datetime
    next_update: datetime
    _signed: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def read(cls, der: bytes) -> Crl:
        """Read one. Raises BadValue."""
        try:
            parsed = x509.load_der_x509_crl(der)
            this_update, next_update = parsed.last_update_utc, parsed.next_update_utc
        except revocation.UNREADABLE as error:
            raise BadValue("the revocation list cannot be read") from error
        if next_update is None:
            raise BadValue("the revocation list does not say its next update")
        return cls(der, parsed, this_update, next_update)

    def require(
        self,
        certificate: Certificate,
        issuer: Certificate,
        at: datetime,
        skew: timedelta,
        reliance: Reliance = _USUAL,
    ) -> None:
        """Raise BadValue unless this is the issuer's word on the certificate at `at`. May take long (see `is_known`).

        Refused beside what is damaged, forged or old: delta lists, indirect ones, those for some reasons only, and
        critical extensions that are not known (RFC 5280 section 5.2).
        """
        if not self.this_update - skew <= at <= self.next_update:
            raise BadValue(
                f"the revocation list is for {self.this_update:%F %T} to {self.next_update:%F %T} UTC"
            )
        scheme = revocation_lists.scheme_of(self.der)
        if scheme is None or not reliance.on_list(scheme, at):
            raise BadValue("the revocation list is signed with an algorithm that does not count")
        try:
            if not revocation.speaks_of(self.parsed, certificate, issuer):
                raise BadValue(
                    "the revocation list is of another issuer, or not of this kind of certificates"
                )
            if not self._signed_by(issuer):
                raise BadValue("the signature on the revocation list is not the issuer's")
        except revocation.UNREADABLE as error:
            raise BadValue("the revocation list cannot be read") from error

    def is_known(self, issuer: Certificate) -> bool:
        """True where it was found out whether this key signed it: `require` is quick then."""
        return issuer.sha256 in self._signed

    def _signed_by(self, issuer: Certificate) -> bool:
        known = self._signed.get(issuer.sha256)
        if known is None:
            known = self._signed[issuer.sha256] = self._is_signature_of(issuer)
        return known

    def _is_signature_of(self, issuer: Certificate) -> bool:
        """RFC 5280 5.1.1. By hand, for the parser's own check writes the list anew, and holds the event loop meanwhile."""
        tbs, stated, signature = ber.load(self.der)[0].children()
        fields = tbs.children()
        # The version is optional; the algorithm inside must be the one outside (5.1.1.2).
        if fields[1 if fields[0].tag == ber.INTEGER else 0].encoded != stated.encoded:
            return False
        scheme = algorithms.signature_algorithm(cms.algorithm(stated), "")
        value = algorithms.digest(scheme.digest, memoryview(self.der)[tbs.start : tbs.end])
        return algorithms.holds(issuer.public_key(), scheme, whole_octets(signature), value)


@dataclass(frozen=True, slots=True)
class OcspValue:
    """A response that was checked. `responder` is the delegated responder's certificate; None: the CA's own key signed."""

    der: bytes
    next_update: datetime | None
    responder: Certificate | None


@dataclass(frozen=True, slots=True)
class OcspQuestion:
    """A request for the status of one certificate (RFC 6960 section 4.1)."""

    certificate: Certificate
    issuer: Certificate
    der: bytes
    nonce: bytes

    @classmethod
    def of(cls, certificate: Certificate, issuer: Certificate, *, with_nonce: bool) -> OcspQuestion:
        """Make one. Raises BadValue where the certificates cannot be named in it."""
        # RFC 9654 and RFC 5019 2.1.1: the digest in CertID names keys, it secures nothing; SHA-1 is what all know.
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            certificate.parsed,
            issuer.parsed,
            hashes.SHA1(),  # noqa: S303 - see above
        )
        nonce = os.urandom(NONCE_BYTES) if with_nonce else b""
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        try:
            return cls(certificate, issuer, builder.build().public_bytes(Encoding.DER), nonce)
        except revocation.UNREADABLE as error:
            raise BadValue("the certificate cannot be named in an OCSP request") from error

    def read(
        self, answer: bytes, at: datetime, settings: EvidenceSettings, reliance: Reliance = _USUAL
    ) -> OcspValue:
        """Check an answer as of `at`. Raises BadValue."""
        try:
            found = responses.authentic(answer, self.certificate, self.issuer)
            scheme = found.scheme
            if not reliance.on_response(scheme, at):
                raise BadValue(f"the OCSP response is signed with {scheme.label}")
            single, responder = found.single, found.responder
            if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
                raise BadValue("the responder does not know the certificate")
            _require_fresh(single, at, settings)
            self._require_nonce(found.response)
        except OcspRefused as error:
            raise BadValue(str(error)) from error
        except revocation.UNREADABLE as error:
            raise BadValue("the OCSP response cannot be read") from error
        if responder is not None and not responder.not_before <= at <= responder.not_after:
            raise BadValue("the OCSP responder's certificate is outside its validity")
        return OcspValue(answer, single.next_update_utc, responder)

    def _require_nonce(self, response: ocsp.OCSPResponse) -> None:
        """A nonce that came must be ours; many responders send prepared answers, which cannot have one (RFC 5019)."""
        for extension in response.extensions:
            if isinstance(extension.value, x509.OCSPNonce) and extension.value.nonce != self.nonce:
                raise BadValue("the OCSP response has another nonce than was asked for")


def _require_fresh(single: ocsp.OCSPSingleResponse, at: datetime, settings: EvidenceSettings) -> None:
    this_update, next_update = single.this_update_utc, single.next_update_utc
    last = next_update or this_update + timedelta(seconds=settings.max_age_seconds)
    if not this_update - timedelta(seconds=settings.clock_skew_seconds) <= at <= last:
        raise BadValue(f"the OCSP response is for {this_update:%F %T} to {last:%F %T} UTC")


def read_certificates(data: bytes) -> tuple[Certificate, ...]:
    """What a caIssuers address gives (RFC 5280 4.2.2.1): one certificate, or a CMS with some. Raises BadValue."""
    try:
        return (certificates.load(data),)
    except CertificateError:
        pass
    try:
        found = pkcs7.load_der_pkcs7_certificates(data)
        return tuple(certificates.load(one.public_bytes(Encoding.DER)) for one in found[:MAX_ISSUERS])
    except revocation.UNREADABLE as error:
        raise BadValue("neither a certificate nor a CMS with certificates") from error
