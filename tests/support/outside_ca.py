"""A CA that is not ours, with a root above it, as an operator's settings name it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


class OutsideCa:
    """Root, CA below it, and what they issue."""

    def __init__(self, name: str = "Outside") -> None:
        """Make both."""
        self._root_key, self.root = self.authority(f"{name} Root")
        self.key, self.certificate = self.authority(f"{name} CA", (self._root_key, self.root))

    def authority(
        self,
        name: str,
        above: _Pair | None = None,
        *,
        ca: bool = True,
        path_length: int | None = None,
        ends: timedelta = timedelta(days=30),
    ) -> _Pair:
        """Make key and certificate of a CA; a root where there is none above."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above[1].subject if above else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
            .sign(above[0] if above else key, hashes.SHA256())
        )
        return key, certificate

    @property
    def pair(self) -> _Pair:
        """Key and certificate of the CA that issues."""
        return self.key, self.certificate

    @property
    def root_pair(self) -> _Pair:
        """Key and certificate of the root."""
        return self._root_key, self.root

    def issue(
        self,
        request: bytes,
        *,
        by: _Pair | None = None,
        subject: x509.Name | None = None,
        ends: datetime | None = None,
    ) -> bytes:
        """Issue a certificate for a PKCS#10 request (DER); return it, DER."""
        asked = x509.load_der_x509_csr(request)
        assert asked.is_signature_valid
        key, issuer = by or self.pair
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject or asked.subject)
            .issuer_name(issuer.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(ends or now + timedelta(days=20))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        return der(certificate)

    def chain(self, request: bytes) -> list[bytes]:
        """Issue for a request; return leaf and CA, DER."""
        return [self.issue(request), der(self.certificate)]

    def write_root(self, path: Path) -> Path:
        """Write the root as PEM; return the path."""
        path.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        return path


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate, DER."""
    return certificate.public_bytes(serialization.Encoding.DER)
