"""S/MIME: whose mail is signed, how it is taken apart, and what is refused."""

from __future__ import annotations

import time
from dataclasses import replace
from email.message import EmailMessage
from io import BytesIO

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kernel.errors import BodyTooLarge, DomainError, FieldInvalid, SenderMismatch
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.formats import mime
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from services.signer.formats.smime import MAX_MESSAGE_BYTES, SmimeMessage
from tests.support import mail
from tests.support.document_signers import TestSigner, signed

BODY = b"Kinh gui\r\n"


def sign(message: bytes, who: TestSigner | None = None) -> bytes:
    who = who or mail.sender()
    return signed(SmimeMessage(), message, who, who.parameters(form="SMIME"))


def from_field(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + BODY


@pytest.mark.parametrize(
    "lines",
    [
        (f"From: {mail.SENDER}",),
        (f"from:{mail.SENDER}",),
        ("From: van.thu@PHUONG-thu.gov.VN",),
        (f'From: "Thử, Nguyễn Văn" <{mail.SENDER}>',),
        (f"From: Nguyen Van Thu\r\n <{mail.SENDER}>",),
        (f"From: {mail.SENDER} (Nguyen Van Thu)",),
        ("From: giam.doc@so-thu.gov.vn", f"Sender: {mail.SENDER}"),
        (f"From: giam.doc@so-thu.gov.vn, {mail.SENDER}", f"Sender: {mail.SENDER}"),
    ],
)
def test_the_sender_is_found_in_the_certificate(lines: tuple[str, ...]) -> None:
    assert b"multipart/signed" in sign(from_field(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        ("From: another@phuong-thu.gov.vn",),
        (
            "From: Van.Thu@phuong-thu.gov.vn",
        ),  # RFC 5280 section 7.5: local parts are compared letter by letter
        ("From: van.thu@sub.phuong-thu.gov.vn",),
        ("From: van.thu@phuong-thu.gov.vn.evil.example",),
        (f'From: "{mail.SENDER}" <another@evil.example>',),
        (f"From: another@evil.example ({mail.SENDER})",),
        ("From: a@b.vn, c@d.vn", "Sender: a@b.vn"),
        (f"From: {mail.SENDER}, c@d.vn", "Sender: c@d.vn"),
    ],
)
def test_mail_of_another_sender_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(SenderMismatch, match="sender's address"):
        sign(from_field(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        ("To: a@b.vn",),
        ("From:",),
        (f"From: {mail.SENDER}", f"From: {mail.SENDER}"),
        (f"From: {mail.SENDER}, c@d.vn",),
        (f"From: {mail.SENDER}", "Sender: a@b.vn, c@d.vn"),
        (f"From: {mail.SENDER}", f"Sender: {mail.SENDER}", f"Sender: {mail.SENDER}"),
        (f"From: {mail.SENDER} <another@evil.example>",),
        (f"From: <{mail.SENDER}>another@evil.example",),
        (f"From: undisclosed: {mail.SENDER};",),
        ("From: Nguyen Van Thu",),
        ("From: " + "(" * 8000,),
        ("From: " + '"\\' * 4000,),
        ("From: " + f"{mail.SENDER}," * 1000,),
        (f"From: {mail.SENDER}", "no field at all"),
        (f"From : {mail.SENDER}",),
        (f"From: {mail.SENDER}", "Subject: a\0b"),
        (f"From: {mail.SENDER}", "Content-Type: text/plain", "Content-Type: text/html"),
        (
            f"From: {mail.SENDER}",
            "Content-Transfer-Encoding: 8bit",
            "content-transfer-encoding: base64",
        ),
        (" folded at the beginning",),
        (f"From {mail.SENDER} Sun Nov 22", f"From: {mail.SENDER}"),
    ],
)
def test_mail_whose_sender_is_not_clear_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(FieldInvalid) as caught:
        sign(from_field(*lines))
    assert caught.value.data["field"] in {"From", "Sender", "message"}


def test_addresses_in_the_subject_and_of_unicode_count_too() -> None:
    unicode_name = x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"),
        b"\x0c\x14" + "thử@phường.vn".encode().ljust(20, b"n")[:20],
    )
    by_subject = mail.sender(mail.MailCertificate((), mail.SENDER))
    assert b"multipart/signed" in sign(mail.message(BODY), by_subject)
    by_unicode = mail.sender(mail.MailCertificate((), other_names=(unicode_name,)))
    address = unicode_name.value[2:].decode()
    assert b"multipart/signed" in sign(mail.message(BODY, address=address), by_unicode)
    with pytest.raises(SenderMismatch):
        sign(mail.message(BODY), by_unicode)


@pytest.mark.parametrize(
    ("purposes", "fits"),
    [
        ((), True),
        ((ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), True),
        ((ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION), True),
        ((ExtendedKeyUsageOID.CLIENT_AUTH,), False),
    ],
)
def test_the_certificate_must_be_for_mail(purposes: tuple[x509.ObjectIdentifier, ...], fits: bool) -> None:
    who = mail.sender(mail.MailCertificate(purposes=purposes))
    if fits:
        assert b"multipart/signed" in sign(mail.message(BODY), who)
        return
    with pytest.raises(FieldInvalid, match="not for signing mail"):
        sign(mail.message(BODY), who)


def test_the_header_stays_outside_and_what_describes_the_body_goes_inside() -> None:
    original = mail.message(
        BODY,
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Language: vi",
        "Received: from a by b;\r\n\tSun, 22 Nov 2026 10:04:05 +0700",
        "X-Priority: 1",
    )
    finished = sign(original)
    before, after = mail.parsed(original), mail.parsed(finished)
    kept = [name for name in before if not name.lower().startswith("content-") and name != "MIME-Version"]
    assert [name for name in after if not name.startswith("Content-") and name != "MIME-Version"] == kept
    assert all(after[name] == before[name] for name in kept)
    assert after.get_all("MIME-Version") == ["1.0"]
    assert after["Content-Type"].params["protocol"] == "application/pkcs7-signature"
    first, second = list(after.iter_parts())
    assert (first["Content-Language"], first["Subject"]) == ("vi", None)
    assert second.get_filename() == "smime.p7s"
    assert second.get_content_type() == "application/pkcs7-signature"


def test_a_binary_part_keeps_its_bytes() -> None:
    data = b"\x00\n\r\n\r\xff" * 50
    original = mail.message(
        b"--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + data
        + b"\r\n--x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + mail.message("Dòng\r\n".encode(), "Content-Type: text/plain; charset=utf-8")
        + b"\r\n--x--\r\n",
        'Content-Type: multipart/mixed; boundary="x"',
        "Content-Transfer-Encoding: binary",
    )
    inner = mail.parsed(sign(original)).get_payload(0)
    assert isinstance(inner, EmailMessage)
    attachment, forwarded = inner.iter_parts()
    assert attachment.get_payload(decode=True) == data
    letter = forwarded.get_payload(0)
    assert isinstance(letter, EmailMessage)
    assert letter.get_content().splitlines() == ["Dòng"]


def test_a_signed_part_within_is_not_encoded_anew() -> None:
    # Its own signature would break; it is the only part whose bytes count more than safe transport.
    inner = b'Content-Type: multipart/signed; boundary="y"\r\n\r\n--y\r\n\r\n' + "Dòng \r\n--y--\r\n".encode()
    original = mail.message(
        b"--x\r\n" + inner + b"\r\n--x--\r\n", "Content-Type: multipart/mixed; boundary=x"
    )
    assert inner in sign(original)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (mail.message(b"\xff\xfe"), "does not say what its body is"),
        (mail.message(b"\xff", "Content-Type: multipart/mixed"), "names no boundary"),
        (mail.message(b"\xff", "Content-Type: multipart/mixed; boundary=x"), "has no part"),
        (
            mail.message(b"--x\r\n\xff\r\n--x--", "Content-Type: multipart/mixed; boundary=x"),
            "no name and colon",
        ),
        (b"From: a@b.vn\r\n" + b"X-Long: y\r\n" * 40_000, "a header is at most 262144 bytes"),
        (b"From: a@b.vn\r\n" + b"X: y\r\n" * 3_000, "at most 2000 fields"),
        (
            mail.message(b"--x\r\n\r\n\xff\r\n" * 10_001, "Content-Type: multipart/mixed; boundary=x"),
            "10000 parts",
        ),
        (b"", "0 From fields"),
    ],
)
def test_a_message_that_cannot_be_taken_apart_is_refused(message: bytes, complaint: str) -> None:
    with pytest.raises(FieldInvalid, match=complaint):
        sign(message)


def test_parts_within_parts_have_an_end() -> None:
    body = b"\xff"
    for level in range(40):
        body = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--" % (
            (level, level, body, level)
        )
    head, _, rest = mail.message(b"", "X").partition(b"X\r\n")
    assert rest == b"\r\n"
    with pytest.raises(FieldInvalid, match="32 within each other"):
        sign(head + body)


def test_a_message_that_is_too_large_or_not_here_is_refused() -> None:
    form, parameters = SmimeMessage(), mail.sender().parameters(form="SMIME")
    with pytest.raises(BodyTooLarge) as caught:
        form.prepare(Document(BytesIO(), MAX_MESSAGE_BYTES + 1), parameters)
    assert caught.value.data["limit"] == 25 << 20
    away = replace(Document.of(b""), known_digest=Digest(DigestAlgorithm.SHA256, bytes(32)))
    both = replace(Document.of(mail.message(BODY)), others=(Document.of(BODY),))
    for document in (away, both):
        with pytest.raises(FieldInvalid, match="the whole message"):
            form.prepare(document, parameters)


def test_a_message_changed_between_the_steps_is_not_released() -> None:
    form, who = SmimeMessage(), mail.sender()
    parameters = who.parameters(form="SMIME")
    prepared = form.prepare(Document.of(mail.message(BODY)), parameters)
    value = who.sign(prepared.digest)
    with pytest.raises(SelfCheckFailed, match="another digest"):
        form.complete(Document.of(mail.message(b"Khac\r\n")), parameters, prepared.state, value)
    with pytest.raises(SelfCheckFailed, match="does not verify"):
        form.complete(Document.of(mail.message(BODY)), parameters, prepared.state, b"x" * 256)


def test_there_is_no_level_above_b_b() -> None:
    signed_message = Signed(Document.of(mail.message(BODY)), sign(mail.message(BODY)))
    assert SmimeMessage().next_need(signed_message, Level.B_B, DigestAlgorithm.SHA256) is None
    with pytest.raises(FieldInvalid, match="no level above"):
        SmimeMessage().next_need(signed_message, Level.B_T, DigestAlgorithm.SHA256)
    assert Document.of(b"").role is Role.CONTENT


def test_a_message_of_many_lines_takes_no_long_time() -> None:
    message = mail.message(b"x\xff \r\n" * 300_000, "Content-Type: text/plain; charset=iso-8859-1")
    started = time.process_time()
    sign(message)
    assert time.process_time() - started < 30


@pytest.mark.parametrize("size", [1, 75, 76, 77, 152])
def test_base64_has_lines_of_76_characters(size: int) -> None:
    lines = mime.base64_lines(bytes(size)).split(b"\r\n")
    assert all(len(line) == 76 for line in lines[:-2])
    assert lines[-1] == b""


@pytest.mark.parametrize("data", [b"\x30", b"\x00" * 1000, b"From: a@b\r\n\r\n", b":\r\n\r\n", b"\n\n\n"])
def test_garbage_is_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(DomainError):
        sign(data)
