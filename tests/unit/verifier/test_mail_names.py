"""Names of attachments in charsets that can write what is no character: they never get into a report."""

from __future__ import annotations

import json

import pytest

from services.verifier.formats import mime

HEADERS = {
    "half a pair in UTF-7": b"filename*=utf-7''%2B2AA-",
    "half a pair by an escape": b"filename*=unicode_escape''%5Cud800",
    "half a pair in an encoded word": b'filename="=?utf-7?q?+2AA-?="',
    "half a pair by an escape in an encoded word": b'filename="=?unicode_escape?q?=5Cud800?="',
    "no text at all": b"filename*=zlib_codec''%78",
    "an unknown charset": b"filename*=x-none''a",
}


def names(parameter: bytes) -> list[str]:
    """Names of the documents that a message with this attachment carries."""
    message = (
        b"From: a@example.vn\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x1\r\n\r\n--x1\r\n"
        b"Content-Type: application/pdf\r\nContent-Disposition: attachment; "
        + parameter
        + b"\r\n\r\n%PDF-1.7\r\n--x1--\r\n"
    )
    return [name for name, _ in mime.documents(message)]


@pytest.mark.parametrize("header", HEADERS)
def test_a_name_that_cannot_be_written_is_none(header: str) -> None:
    assert names(HEADERS[header]) == [""]


def test_a_name_that_can_be_is_read() -> None:
    for parameter in (b"filename*=utf-8''%C4%91%C6%A1n.pdf", b'filename="=?utf-8?q?=C4=91=C6=A1n.pdf?="'):
        (name,) = names(parameter)
        assert name == "đơn.pdf"
        assert json.dumps(name, ensure_ascii=False).encode("utf-8")
