"""A CA outside with an OCSP responder, revocation lists and caIssuers, all made by `cryptography`'s builders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tests.unit.verifier.authority import Authority, Signer, subject

START = datetime.now(UTC).replace(microsecond=0)
VALID: dict[str, Any] = {"not_before": START - timedelta(days=1), "not_after": START + timedelta(days=1)}
_OCSP_SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate, DER."""
    return certificate.public_bytes(Encoding.DER)


def addresses(*, ocsp_urls: Sequence[str] = (), issuers: Sequence[str] = (), crls: Sequence[str] = ()) -> Any:
    """Return the extensions that name these addresses, for `more` of `Authority.signer`."""
    access = [(AuthorityInformationAccessOID.OCSP, url) for url in ocsp_urls]
    access += [(AuthorityInformationAccessOID.CA_ISSUERS, url) for url in issuers]
    found: list[tuple[x509.ExtensionType, bool]] = []
    if access:
        descriptions = [
            x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in access
        ]
        found.append((x509.AuthorityInformationAccess(descriptions), False))
    if crls:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in crls
        ]
        found.append((x509.CRLDistributionPoints(points), False))
    return found


def authority(name: str = "Outside CA", above: Authority | None = None, **options: Any) -> Authority:
    """Make a CA that is valid now."""
    return Authority(name, above, **(VALID | options))


def leaf(by: Authority, **named: Sequence[str]) -> x509.Certificate:
    """Issue an end certificate that names these addresses."""
    return by.signer(more=addresses(**named), **VALID).certificate


def responder(by: Authority, *, checked: bool = False, more: Sequence[Any] = (), **options: Any) -> Signer:
    """Make a delegated responder; unless `checked`, its CA says that its status need not be asked for."""
    extensions = [_OCSP_SIGNING, *more, *([] if checked else [(x509.OCSPNoCheck(), False)])]
    name = subject(common_name="Outside OCSP")
    return by.signer(name, usage=("digital_signature",), more=extensions, **(VALID | options))


def crl(by: Authority, *, at: datetime = START, hours: float = 1, **options: Any) -> bytes:
    """Make an empty CRL from an hour before `at` to `hours` after it."""
    return by.crl(this_update=at - timedelta(hours=1), next_update=at + timedelta(hours=hours), **options)


def ocsp_answer(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    signer: x509.Certificate | None = None,
    **options: Any,
) -> bytes:
    """Answer about one certificate; `signer` is a delegated responder's certificate, else the issuer's key answers.

    Options: status, this_update, next_update, digest (of CertID), hashed (of the signature), nonce, by_name, attached.
    """
    status = options.get("status", ocsp.OCSPCertStatus.GOOD)
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    by_name = options.get("by_name", True)
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            certificate,
            issuer,
            options.get("digest", hashes.SHA1()),  # noqa: S303 - names keys, secures nothing
            status,
            options.get("this_update", START - timedelta(hours=1)),
            options.get("next_update", START + timedelta(hours=1)),
            START - timedelta(hours=2) if revoked else None,
            None,
        )
        .responder_id(encoding, signer or issuer)
    )
    if signer is not None and options.get("attached", True):
        builder = builder.certificates([signer])
    if "nonce" in options:
        builder = builder.add_extension(x509.OCSPNonce(options["nonce"]), critical=False)
    return builder.sign(key, options.get("hashed", hashes.SHA256())).public_bytes(Encoding.DER)


def asked_for(request: bytes) -> ocsp.OCSPRequest:
    """Read an OCSP request."""
    return ocsp.load_der_ocsp_request(request)
