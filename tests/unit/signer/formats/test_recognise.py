"""A signed file is known by its first bytes."""

from __future__ import annotations

import pytest

from services.kernel.errors import DocumentDamaged
from services.signer.formats.format import Document
from services.signer.formats.recognise import recognise


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7\n", "PADES"),
        (b"\xef\xbb\xbf\n%PDF-2.0\n", "PADES"),
        (b"0\x82\x01\x00\x06", "CADES"),
        (b"-----BEGIN CMS-----\n", "CADES"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><a/>', "XADES"),
        (b"\n <a/>", "XADES"),
        (b'{"payload":"', "JADES"),
        (b"eyJhbGciOiJFUzI1NiJ9.e30.", "JADES"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.etsi.asic-s+zip", "ASIC_S"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.etsi.asic-e+zip", "ASIC_E"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/signed\r\n", "SMIME"),
    ],
)
def test_the_first_bytes_tell(data: bytes, name: str) -> None:
    assert recognise(Document.of(data)) == name


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x02", b"hello", b"\xff" * 2000, "Kính gửi: ông".encode()])
def test_what_is_no_signed_file_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentDamaged):
        recognise(Document.of(data))
