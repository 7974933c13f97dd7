"""S/MIME 4.0 signed messages (RFC 8551): the whole message in, the whole signed message out.

The header stays outside but for the fields that describe the body (Content-*), which become the header of the signed
part. Two packagings: multipart/signed, which every mail program shows, and application/pkcs7-mime.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kernel.errors import BodyTooLarge, DocumentDamaged, FieldInvalid, SenderMismatch
from services.signer.formats import ber, cms, mime
from services.signer.formats.cms_container import SignedData
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Prepared
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import (
        Document,
        Evidence,
        EvidenceNeeded,
        Need,
        Signed,
        TimeStampNeeded,
    )
    from services.signer.formats.parameters import SignatureParameters

MAX_MESSAGE_BYTES = 25 << 20
MAX_ADDRESS_FIELD_BYTES = 8 * 1024
_PREAMBLE = b"This is a message signed by S/MIME.\r\n"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_ADDRESS = rf'(?:[^\s<>"(),:;@\\]++|{_QUOTED})@[^\s<>"(),:;@\\]++'
_MAILBOX = re.compile(
    rf'\s*+(?:(?:{_QUOTED}|[^<>"(),:;@\\])*+<\s*+({_ADDRESS})\s*+>|({_ADDRESS}))'
    r"\s*+(?:\([^()\\]*+\)\s*+)?(?:,|\Z)"
)
"""RFC 5322 section 3.4 without its obsolete forms: what programs read differently is refused."""
_SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9"
"""id-on-SmtpUTF8Mailbox, RFC 9598 section 3."""


@dataclass(frozen=True, slots=True)
class _Message:
    """A message, taken apart for signing."""

    outer: bytes
    """The header fields that stay outside, in order."""
    inner: bytes
    """The part that is signed: canonical, safe for transport."""


class SmimeMessage:
    """Signs messages with the certificate of their sender."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Check the sender, build the signed part, encode the signed attributes (the state).

        Raises FieldInvalid, BodyTooLarge, SenderMismatch.
        """
        message = _read(document, parameters.certificate_chain[0])
        digest = parameters.algorithm.digest
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        attributes = cms.signed_attributes(parts, digest.digest(message.inner), parameters.signing_time)
        return Prepared(digest.digest(attributes), attributes)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the new message together, read it back as a mail program would and verify it."""
        message = _read(document, parameters.certificate_chain[0])
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        digest = parameters.algorithm.digest
        if parameters.envelope.packaging == "ENVELOPING":
            finished = _opaque(message, cms.assemble(parts, state, signature, message.inner))
        else:
            finished = _multipart(message, cms.assemble(parts, state, signature), digest)
        container, content = _signed_part(finished)
        cms.check(container, parts, digest.digest(content))
        return finished

    def next_need(self, _signed: Signed, level: Level, _digest: DigestAlgorithm) -> Need | None:
        """Say that nothing is needed: messages are signed at level B-B. Raises FieldInvalid for any other."""
        if level is not Level.B_B:
            raise _no_levels()
        return None

    def add_time_stamp(self, _signed: Signed, _need: TimeStampNeeded, _token: bytes) -> bytes:
        """Never asked for."""
        raise _no_levels()

    def add_evidence(self, _signed: Signed, _need: EvidenceNeeded, _evidence: Evidence) -> bytes:
        """Never asked for."""
        raise _no_levels()


def _no_levels() -> FieldInvalid:
    return FieldInvalid("a signed message has no level above B-B", field="level")


def _read(document: Document, certificate: bytes) -> _Message:
    if document.known_digest is not None or len(document.files) != 1:
        raise FieldInvalid("S/MIME needs one file: the whole message", field="document")
    if document.size > MAX_MESSAGE_BYTES:
        raise BodyTooLarge(f"a message is at most {MAX_MESSAGE_BYTES} bytes", limit=MAX_MESSAGE_BYTES)
    fields, body = mime.split(document.read())
    _require_sender(fields, certificate)
    for name in ("content-type", "content-transfer-encoding"):
        if sum(field.name == name for field in fields) > 1:
            # One program would show what another does not.
            raise FieldInvalid(f"the message has more than one {name} (RFC 2045 section 3)", field="message")
    inside = [field.raw for field in fields if field.name.startswith("content-")]
    outside = [field.raw for field in fields if not _is_of_body(field.name)]
    if not any(field.name == "content-type" for field in fields):
        inside.append(b"Content-Type: text/plain; charset=%s\r\n" % _charset(body))
    inner = mime.transport_safe(b"".join((*inside, b"\r\n", body)))
    return _Message(b"".join((*outside, b"MIME-Version: 1.0\r\n")), inner)


def _is_of_body(name: str) -> bool:
    return name.startswith("content-") or name == "mime-version"


def _charset(body: bytes) -> bytes:
    """Name the character set of a body that says nothing of itself (RFC 2045 section 5.2)."""
    if body.isascii():
        return b"us-ascii"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise FieldInvalid(
            "the message does not say what its body is: add Content-Type", field="message"
        ) from error
    return b"utf-8"


def _multipart(message: _Message, container: bytes, digest: DigestAlgorithm) -> bytes:
    """Write multipart/signed (RFC 8551 section 3.5.3)."""
    boundary = b"kyso-" + digest.digest(container)[:16].hex().encode()
    head = (
        b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        b'\tmicalg=%s; boundary="%s"\r\n\r\n' % (digest.label.lower().encode(), boundary)
    )
    signature = (
        b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
    )
    delimiter = b"\r\n--%s" % boundary
    return b"".join(
        (
            message.outer,
            head,
            _PREAMBLE,
            delimiter,
            b"\r\n",
            message.inner,
            delimiter,
            b"\r\n",
            signature,
            mime.base64_lines(container),
            delimiter,
            b"--\r\n",
        )
    )


def _opaque(message: _Message, container: bytes) -> bytes:
    """Write application/pkcs7-mime (RFC 8551 section 3.5.2)."""
    head = (
        b'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7m"\r\n\r\n'
    )
    return b"".join((message.outer, head, mime.base64_lines(container)))


def _signed_part(message: bytes) -> tuple[bytes, bytes]:
    """Read a finished message back: the CMS container, and the bytes that it is over."""
    try:
        fields, body = mime.split(message)
        content_type = mime.value_of(fields, "content-type")
        if content_type.startswith(b"multipart/"):
            _, content, signature, _ = mime.parts_of(body, mime.boundary_of(content_type))
            return base64.b64decode(mime.split(signature)[1]), content
        container = base64.b64decode(body)
        return container, SignedData.read(container).content or b""
    except (ValueError, binascii.Error, FieldInvalid) as error:
        raise SelfCheckFailed("the finished message cannot be read back") from error


def _require_sender(fields: list[mime.Field], certificate: bytes) -> None:
    """Check that the sender is whom the certificate names (RFC 8550 section 3, RFC 8551 section 3.1)."""
    senders = _senders(fields)
    named = _mail_addresses(certificate)
    if not named & set(senders):
        raise SenderMismatch(
            "the sender's address is not in the signer's certificate: sign with a credential whose certificate names "
            "it, or send from the address that the certificate names",
            field="From",
        )


def _senders(fields: list[mime.Field]) -> list[str]:
    """Return the addresses that may be the sender's: From where it is one, and Sender."""
    author = [field for field in fields if field.name == "from"]
    sender = [field for field in fields if field.name == "sender"]
    if len(author) != 1 or len(sender) > 1:
        raise FieldInvalid(
            f"the message has {len(author)} From fields and {len(sender)} Sender fields: one From is needed, one "
            "Sender is allowed (RFC 5322 section 3.6)",
            field="From",
        )
    authors = _addresses(author[0])
    found = [address for field in sender for address in _addresses(field)]
    if len(found) != len(sender) or (len(authors) > 1 and not sender):
        raise FieldInvalid(
            "a message of several authors names its one sender in the Sender field (RFC 5322 section 3.6.2)",
            field="Sender",
        )
    return found if len(authors) > 1 else [*authors, *found]


def _addresses(field: mime.Field) -> list[str]:
    """Read the addresses of a field. Raises FieldInvalid where any could be read in two ways."""
    found: list[str] = []
    try:
        text = field.value.decode() if len(field.raw) <= MAX_ADDRESS_FIELD_BYTES else ""
    except UnicodeDecodeError:
        text = ""
    at = 0
    while at < len(text):
        match = _MAILBOX.match(text, at)
        address = _comparable(match[1] or match[2]) if match else ""
        if match is None or not address:
            found = []
            break
        found.append(address)
        at = match.end()
    if not found:
        raise FieldInvalid(
            f"the {field.name.capitalize()} field is no list of addresses: write each as name@domain or as "
            '"Name" <name@domain>',
            field=field.name.capitalize(),
        )
    return found


def _comparable(address: str) -> str:
    """Write an address so that equal ones are equal: the domain by ASCII in lower case, the local part as it is.

    RFC 5280 section 7.5 compares local parts letter by letter. Returns "" for what is no address.
    """
    local, at, domain = address.rpartition("@")
    if not (local and at and domain):
        return ""
    try:
        return f"{local}@{domain.encode('idna').decode().lower()}"
    except UnicodeError:
        return ""


@lru_cache(maxsize=256)
def _mail_addresses(certificate: bytes) -> frozenset[str]:
    """Return the addresses in a certificate (RFC 8550 section 3). Raises FieldInvalid where it is not for mail."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        extensions = {extension.oid: extension.value for extension in read.extensions}
        found = [
            str(attribute.value) for attribute in read.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        ]
        found += _alternative_names(extensions.get(x509.SubjectAlternativeName.oid))
    except (ValueError, DocumentDamaged) as error:
        raise FieldInvalid("the signer's certificate is not DER X.509", field="certificate_chain") from error
    purposes = extensions.get(x509.ExtendedKeyUsage.oid)
    fitting = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    usage = extensions.get(x509.KeyUsage.oid)
    if (isinstance(purposes, x509.ExtendedKeyUsage) and not fitting & set(purposes)) or (
        isinstance(usage, x509.KeyUsage) and not (usage.digital_signature or usage.content_commitment)
    ):
        raise FieldInvalid(
            "the credential's certificate is not for signing mail (RFC 8550 section 4.4): take another credential",
            field="credential_id",
        )
    return frozenset(map(_comparable, found)) - {""}


def _alternative_names(names: x509.ExtensionType | None) -> list[str]:
    if not isinstance(names, x509.SubjectAlternativeName):
        return []
    others = names.get_values_for_type(x509.OtherName)
    unicode_names = [name for name in others if name.type_id.dotted_string == _SMTP_UTF8_MAILBOX]
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *(ber.whole(name.value).contents.decode() for name in unicode_names),
    ]
