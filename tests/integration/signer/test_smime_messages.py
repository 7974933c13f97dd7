"""S/MIME as mail programs see it: openssl verifies every signed message, Python's library reads what is in it."""

from __future__ import annotations

from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.smime import SmimeMessage
from tests.support import mail
from tests.support.document_signers import signed

if TYPE_CHECKING:
    from pathlib import Path

    from services.signer.formats.parameters import PackagingName

PACKAGINGS: tuple[PackagingName, ...] = ("DETACHED", "ENVELOPING")


def sign(message: bytes, packaging: PackagingName = "DETACHED") -> bytes:
    who = mail.sender()
    return signed(SmimeMessage(), message, who, who.parameters(form="SMIME", packaging=packaging))


def with_attachments() -> bytes:
    message = EmailMessage()
    message["From"] = mail.SENDER
    message["To"] = "mot-cua@phuong-thu.gov.vn"
    message["Subject"] = "Hồ sơ"
    message.set_content(mail.VIETNAMESE, cte="8bit")
    message.add_alternative("<p>Kính gửi</p>\n", subtype="html", cte="8bit")
    message.add_attachment(
        bytes(range(256)) * 20, maintype="application", subtype="pdf", filename="tờ khai.pdf"
    )
    return message.as_bytes()


TEXT_8BIT = (
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "MIME-Version: 1.0",
)
MESSAGES = {
    "plain text without MIME": mail.message(b"Kinh gui\r\nDong hai\r\n"),
    "no body": mail.message(b""),
    "8bit Vietnamese": mail.message(mail.VIETNAMESE.replace("\n", "\r\n").encode(), *TEXT_8BIT),
    "lone line feeds": mail.message(mail.VIETNAMESE.encode(), *TEXT_8BIT).replace(b"\r\n", b"\n"),
    "8bit without MIME": mail.message(mail.VIETNAMESE.encode()),
    "attachments": with_attachments(),
    "long lines": mail.message(
        b"<p>" + b"dai " * 1000 + b"</p>\r\n", "Content-Type: text/html; charset=us-ascii"
    ),
    "trailing white space": mail.message(b"one  \r\ntwo\t\r\n-- \r\n"),
    "a line that begins with From": mail.message(b"\r\nFrom here on\r\n"),
    "a line that looks like a boundary": mail.message(b"--kyso-00\r\n--\r\n"),
    "no line end at the end": mail.message(b"last line"),
}


def readable(data: bytes) -> list[tuple[str, bytes]]:
    """Return type and decoded content of every part that is none of others."""
    leaves = (part for part in mail.parsed(data).walk() if not part.is_multipart())
    return [(part.get_content_type(), bytes(part.get_payload(decode=True))) for part in leaves]


def same_text(left: list[tuple[str, bytes]], right: list[tuple[str, bytes]]) -> bool:
    """Compare parts; a text's line ends may be any."""

    def plain(parts: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(kind, b"\n".join(data.splitlines()) if "text" in kind else data) for kind, data in parts]

    return plain(left) == plain(right)


@pytest.mark.parametrize("packaging", PACKAGINGS)
@pytest.mark.parametrize("name", MESSAGES)
def test_openssl_verifies_the_signed_message_and_finds_what_was_written(
    name: str, packaging: PackagingName, tmp_path: Path
) -> None:
    original = MESSAGES[name]
    finished = sign(original, packaging)
    for tool in ("smime", "cms"):
        complaint, content = mail.openssl_verify(tmp_path, finished, tool)
        assert complaint == ""
        assert same_text(readable(content), readable(original))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_signed_message_passes_7bit_transport(name: str) -> None:
    # RFC 8551 section 3.1.3; RFC 5321 section 4.5.3.1.6 and RFC 2045 section 2.7.
    _, _, body = sign(MESSAGES[name]).partition(b"\r\n\r\n")
    lines = body.split(b"\r\n")
    assert body.isascii()
    assert max(map(len, lines)) <= 998
    assert not any(line.endswith((b" ", b"\t")) or line.startswith(b"From ") for line in lines)
    assert b"\n" not in body.replace(b"\r\n", b"")


def test_a_message_with_line_feeds_and_one_without_are_signed_alike(tmp_path: Path) -> None:
    # The signed part of both is the same canonical text (RFC 8551 section 3.1.1).
    contents = [
        mail.openssl_verify(tmp_path, sign(MESSAGES[name]))[1]
        for name in ("8bit Vietnamese", "lone line feeds")
    ]
    assert contents[0] == contents[1]


def test_a_changed_letter_breaks_the_signature(tmp_path: Path) -> None:
    finished = sign(MESSAGES["plain text without MIME"])
    complaint, _ = mail.openssl_verify(tmp_path, finished.replace(b"Dong hai", b"Dong ba "))
    assert "digest failure" in complaint


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_the_message_names_its_digest(digest: DigestAlgorithm, tmp_path: Path) -> None:
    who, algorithm = mail.sender(), SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, digest)
    finished = signed(SmimeMessage(), MESSAGES["no body"], who, who.parameters(algorithm, "SMIME"))
    assert mail.parsed(finished)["Content-Type"].params["micalg"] == digest.label.lower()
    assert mail.openssl_verify(tmp_path, finished)[0] == ""


def test_a_signed_message_can_be_signed_again(tmp_path: Path) -> None:
    once = sign(MESSAGES["8bit Vietnamese"])
    twice = sign(once)
    complaint, content = mail.openssl_verify(tmp_path, twice)
    assert complaint == ""
    complaint, innermost = mail.openssl_verify(tmp_path, content)
    assert complaint == ""
    assert same_text(readable(innermost), readable(MESSAGES["8bit Vietnamese"]))
