"""A throw-away certification authority, signers and signed files, made by libraries other than the code under test."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, fields, signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko_certvalidator.registry import SimpleCertificateStore

from services.verifier.ports import TrustMaterial
from tests.support.key_usage import AUTHORITY, SIGNER, key_usage
from tests.support.pdfs import one_page_pdf

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
"""The time at which the tests validate."""
_SERIALS = itertools.count(1000)


def subject(**parts: str | Sequence[str]) -> x509.Name:
    """A name from keywords of NameOID, such as common_name="An", user_id=["MST:...", "CMND:..."]."""
    attributes = []
    for key, value in parts.items():
        values = [value] if isinstance(value, str) else value
        attributes += [x509.NameAttribute(getattr(NameOID, key.upper()), v) for v in values]
    return x509.Name(attributes)


@dataclass
class Signer:
    """A key with its certificate and the chain above it."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: list[x509.Certificate] = field(default_factory=list)

    def pyhanko(self) -> signers.Signer:
        """The same signer for pyHanko."""
        key = self.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple([_asn1(c) for c in self.chain])
        return signers.SimpleSigner(
            signing_cert=_asn1(self.certificate),
            signing_key=asn1_keys.PrivateKeyInfo.load(key),
            cert_registry=store,
        )

    def pdf(self, data: bytes | None = None, name: str = "Signature1", **metadata: Any) -> bytes:
        """Sign a PDF (a fresh one where none is given) as PAdES B-B, in a further revision."""
        options: dict[str, Any] = {"md_algorithm": "sha256", "subfilter": SigSeedSubFilter.PADES} | metadata
        out = BytesIO()
        signers.sign_pdf(
            IncrementalPdfFileWriter(BytesIO(data if data is not None else one_page_pdf())),
            PdfSignatureMetadata(field_name=name, **options),
            signer=self.pyhanko(),
            new_field_spec=fields.SigFieldSpec(name),
            output=out,
        )
        return out.getvalue()

    def cms(self, content: bytes, *, detached: bool = False, digest: Any = None) -> bytes:
        """Sign content as CMS in DER."""
        options = [pkcs7.PKCS7Options.Binary] + ([pkcs7.PKCS7Options.DetachedSignature] if detached else [])
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(self.certificate, self.key, digest or hashes.SHA256())
        for certificate in self.chain:
            builder = builder.add_certificate(certificate)
        return builder.sign(serialization.Encoding.DER, options)


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


class Authority:
    """A CA with a P-256 key: issues certificates and CRLs."""

    def __init__(self, name: str = "Root CA", issuer: Authority | None = None, **options: Any) -> None:
        """A root, or a CA under `issuer`; `options` are `certificate`'s."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = subject(common_name=name, organization_name="Kyso test")
        self.issuer = issuer or self
        extensions = options.pop(
            "extensions",
            [
                (x509.BasicConstraints(ca=True, path_length=options.pop("path_length", None)), True),
                (key_usage(*options.pop("usage", AUTHORITY)), True),
                (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False),
            ],
        )
        self.certificate = self.issuer.issue(
            self.name, self.key.public_key(), extensions=extensions, **options
        )

    def issue(
        self,
        name: x509.Name,
        key: Any,
        *,
        not_before: datetime = NOW - timedelta(days=100),
        not_after: datetime = NOW + timedelta(days=100),
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> x509.Certificate:
        """Issue a certificate."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(next(_SERIALS))
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def signer(
        self,
        name: x509.Name | None = None,
        *,
        key: Any = None,
        usage: Sequence[str] = SIGNER,
        chain: Sequence[x509.Certificate] = (),
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        **options: Any,
    ) -> Signer:
        """A new key with a certificate for signing documents."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(*usage), True),
            *more,
        ]
        name = name or subject(common_name="Nguyễn Văn An", user_id=["MST:0106793535", "CCCD:012345678901"])
        certificate = self.issue(name, key.public_key(), extensions=extensions, **options)
        return Signer(key, certificate, list(chain))

    def crl(
        self,
        revoked: Sequence[tuple[x509.Certificate, x509.ReasonFlags | None]] = (),
        *,
        this_update: datetime = NOW - timedelta(hours=1),
        next_update: datetime = NOW + timedelta(days=1),
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """A CRL in DER; revocations date from a day before NOW."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(this_update)
            .next_update(next_update)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        for certificate, reason in revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(NOW - timedelta(days=1))
            )
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @property
    def der(self) -> bytes:
        """The CA's certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


@dataclass
class Hierarchy:
    """A root, an issuing CA under it, a signer under that, and fresh empty CRLs."""

    root: Authority
    issuing: Authority
    signer: Signer

    @classmethod
    def make(cls) -> Hierarchy:
        """Make all of it."""
        root = Authority("Root CA")
        issuing = Authority("Issuing CA", root, path_length=0)
        return cls(root, issuing, issuing.signer())

    def trust(self, *, crls: Sequence[bytes] | None = None) -> TrustMaterial:
        """Trust in the root, with the issuing CA at hand and, unless others are given, fresh CRLs of both."""
        own = (self.root.crl(), self.issuing.crl())
        return TrustMaterial((self.root.der,), (self.issuing.der,), own if crls is None else tuple(crls))
