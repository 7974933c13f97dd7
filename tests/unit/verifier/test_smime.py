"""S/MIME messages: the parts are taken as they stand, and what cannot be taken apart without guessing is refused."""

from __future__ import annotations

import base64

import pytest

from services.verifier.domain import Verdict
from services.verifier.formats.smime import SmimeFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy

PART = b"Content-Type: text/plain\r\n\r\nHello\r\n"


def clear_signed(signature: bytes, part: bytes = PART, *, copies: int = 1, head: bytes = b"") -> bytes:
    """A multipart/signed message."""
    encoded = base64.encodebytes(signature).replace(b"\n", b"\r\n")
    parts = (b"\r\n--b1\r\n" + part) * copies
    return (
        b"From: a@test\r\n" + head + b"Content-Type: multipart/signed;\r\n"
        b' protocol="application/pkcs7-signature"; boundary="b1"\r\n\r\npreamble'
        + parts
        + b"\r\n--b1\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"--b1--\r\n"
    )


def verdict(message: bytes, hierarchy: Hierarchy) -> Verdict:
    """The verdict on a message."""
    service = VerificationService((SmimeFormat(),), hierarchy.trust())
    return service.verify(SubmittedDocument(message), NOW).verdict


def test_a_signed_message_is_valid_with_either_line_end(hierarchy: Hierarchy) -> None:
    message = clear_signed(hierarchy.signer.cms(PART, detached=True))
    assert verdict(message, hierarchy) is Verdict.VALID
    assert verdict(message.replace(b"\r\n", b"\n"), hierarchy) is Verdict.VALID
    assert verdict(message.replace(b"Hello", b"Hallo"), hierarchy) is Verdict.INVALID


def test_an_opaque_message_is_valid(hierarchy: Hierarchy) -> None:
    head = b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    message = head + base64.encodebytes(hierarchy.signer.cms(PART))
    assert verdict(message, hierarchy) is Verdict.VALID


@pytest.mark.parametrize("case", ["three parts", "no end", "two types", "no boundary"])
def test_a_message_that_needs_guessing_is_malformed(hierarchy: Hierarchy, case: str) -> None:
    signature = hierarchy.signer.cms(PART, detached=True)
    message = {
        "three parts": lambda: clear_signed(signature, copies=2),
        "no end": lambda: clear_signed(signature).replace(b"--b1--", b""),
        "two types": lambda: clear_signed(signature, head=b"Content-Type: multipart/signed; boundary=b2\r\n"),
        "no boundary": lambda: clear_signed(signature).replace(b'; boundary="b1"', b""),
    }[case]()
    assert verdict(message, hierarchy) in {Verdict.MALFORMED, Verdict.INDETERMINATE}


def test_other_content_is_not_taken_for_mail() -> None:
    for data in (b"", b"%PDF-1.7\n", b"just text\r\n\r\nmore", b"Subject: x\r\n\r\nbody", bytes(range(256))):
        assert not SmimeFormat().recognises(data)
