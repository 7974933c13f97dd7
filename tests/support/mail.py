"""Senders of mail with certificates in memory, messages of every shape, and openssl as the mail program that judges."""

from __future__ import annotations

import email
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.document_signers import TestSigner, authority

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

SENDER = "van.thu@phuong-thu.gov.vn"
VIETNAMESE = "Kính gửi Ủy ban nhân dân phường,\nđề nghị xem xét hồ sơ số 15.\n-- \nNguyễn Văn Thử\n"


@dataclass(frozen=True)
class MailCertificate:
    """What a sender's certificate says of mail."""

    names: tuple[str, ...] = (SENDER,)
    """rfc822Names."""
    subject_address: str = ""
    """emailAddress in the subject."""
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.EMAIL_PROTECTION,)
    other_names: tuple[x509.OtherName, ...] = ()


@cache
def sender(certificate: MailCertificate = MailCertificate()) -> TestSigner:
    """Return a sender with an RSA key, certified by the CA of the test signers."""
    ca_key, ca = authority()
    key = rsa.generate_private_key(65537, 2048)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "Nguyễn Văn Thử")]
    if certificate.subject_address:
        attributes.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, certificate.subject_address))
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )
    names = [*map(x509.RFC822Name, certificate.names), *certificate.other_names]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if certificate.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(certificate.purposes), critical=False)
    signed = builder.sign(ca_key, hashes.SHA256())
    return TestSigner(key, (signed.public_bytes(Encoding.DER), ca.public_bytes(Encoding.DER)))


def message(body: bytes, *headers: str, address: str = SENDER) -> bytes:
    """Return a message with CR LF in its header and the body as it is given."""
    lines = [
        f"From: =?utf-8?q?Nguy=E1=BB=85n_V=C4=83n_Th=E1=BB=AD?= <{address}>",
        "To: mot-cua@phuong-thu.gov.vn",
        "Subject: =?utf-8?q?H=E1=BB=93_s=C6=A1_s=E1=BB=91_15?=",
        "Date: Sun, 22 Nov 2026 10:04:05 +0700",
        "Message-ID: <15.2026@phuong-thu.gov.vn>",
        *headers,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def openssl_verify(folder: Path, signed: bytes, tool: str = "smime") -> tuple[str, bytes]:
    """Ask openssl about a signed message; return "" or its complaint, and the content that it found."""
    (folder / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    (folder / "message.eml").write_bytes(signed)
    command = ["openssl", tool, "-verify", "-in", str(folder / "message.eml")]
    command += ["-CAfile", str(folder / "ca.pem"), "-out", str(folder / "content")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr or "failed", b""
    return "", (folder / "content").read_bytes()


def parsed(data: bytes) -> EmailMessage:
    """Read a message with Python's own library."""
    return email.message_from_bytes(data, policy=policy.default)
