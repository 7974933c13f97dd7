"""What stands in /Contents, as software in the field writes it: signers, content, and the hexadecimal string itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from services.verifier.domain import Indication, SubIndication, Verdict
from tests.support.pdf_signatures import ROOM, Signatures
from tests.unit.verifier.authority import Hierarchy, Signer
from tests.unit.verifier.conftest import Verify

Sign = Callable[[bytes], bytes]
ETSI = b"/SubFilter/ETSI.CAdES.detached"
STAMP = b"/SubFilter/ETSI.RFC3161"


def together(first: bytes, second: bytes) -> bytes:
    """The first message with the signers and the certificates of the second one as well."""
    messages = [asn1_cms.ContentInfo.load(one)["content"] for one in (first, second)]
    for name in ("certificates", "signer_infos", "digest_algorithms"):
        for item in messages[1][name]:
            messages[0][name].append(item)
    return bytes(
        asn1_cms.ContentInfo({"content_type": "signed_data", "content": messages[0]}).dump(force=True)
    )


def two(first: Signer, second: Signer, other: bytes = b"") -> Sign:
    """Sign by two; the second one over `other` octets besides."""
    return lambda octets: together(
        first.cms(octets, detached=True), second.cms(octets + other, detached=True)
    )


@pytest.mark.parametrize("entries", [b"/SubFilter/adbe.pkcs7.detached", ETSI])
def test_each_signer_of_a_container_is_judged(verify: Verify, hierarchy: Hierarchy, entries: bytes) -> None:
    other = hierarchy.issuing.signer()
    report = verify(Signatures(two(hierarchy.signer, other)).add(entries))
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert [one.name for one in report.signatures] == ["Signature1/signer-1", "Signature1/signer-2"]
    certificates = {one.signer.serial for one in report.signatures if one.signer}
    assert len(certificates) == 2
    assert not any(one.format.startswith("PAdES") for one in report.signatures)


def test_the_worst_signer_of_a_container_counts(verify: Verify, hierarchy: Hierarchy) -> None:
    other = hierarchy.issuing.signer()
    for pair in ((hierarchy.signer, other), (other, hierarchy.signer)):
        report = verify(Signatures(two(*pair, other=b"x")).add())
        assert report.verdict is Verdict.INVALID
        assert not report.clean
        assert {one.indication for one in report.signatures} == {
            Indication.TOTAL_PASSED,
            Indication.TOTAL_FAILED,
        }


def test_a_signer_added_by_somebody_else_is_not_trusted(verify: Verify, hierarchy: Hierarchy) -> None:
    stranger = Hierarchy.make().signer
    report = verify(Signatures(two(hierarchy.signer, stranger)).add())
    assert report.verdict is not Verdict.VALID
    assert not report.clean


def test_a_signer_who_cannot_be_read_is_not_passed_over(verify: Verify, hierarchy: Hierarchy) -> None:
    def sign(octets: bytes) -> bytes:
        container = two(hierarchy.signer, hierarchy.issuing.signer())(octets)
        message = asn1_cms.ContentInfo.load(container)
        signers = message["content"]["signer_infos"]
        signers[1]["signed_attrs"].append(signers[1]["signed_attrs"][0])
        return bytes(message.dump(force=True))

    report = verify(Signatures(sign).add())
    assert report.verdict is not Verdict.VALID
    assert not report.clean
    assert SubIndication.FORMAT_FAILURE in {one.sub_indication for one in report.signatures}


def test_a_container_without_a_signer_or_a_time_stamp_of_two_is_malformed(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    def nobody(octets: bytes) -> bytes:
        message = asn1_cms.ContentInfo.load(hierarchy.signer.cms(octets, detached=True))
        message["content"]["signer_infos"] = asn1_cms.SignerInfos([])
        return bytes(message.dump(force=True))

    assert verify(Signatures(nobody).add()).verdict is Verdict.MALFORMED
    both = two(hierarchy.signer, hierarchy.issuing.signer())
    assert verify(Signatures(both).add(STAMP)).verdict is Verdict.MALFORMED


def test_more_signers_than_a_file_may_have_are_a_limit(verify: Verify, hierarchy: Hierarchy) -> None:
    signer = hierarchy.signer

    def many(octets: bytes) -> bytes:
        builder = pkcs7.PKCS7SignatureBuilder().set_data(octets)
        builder = builder.add_signer(signer.certificate, signer.key, hashes.SHA256())
        options = [
            pkcs7.PKCS7Options.Binary,
            pkcs7.PKCS7Options.DetachedSignature,
            pkcs7.PKCS7Options.NoCerts,
        ]
        message = asn1_cms.ContentInfo.load(builder.sign(Encoding.DER, options))
        infos = message["content"]["signer_infos"]
        for _ in range(4):
            infos.append(infos[0])
        return bytes(message.dump(force=True))

    file = Signatures(many)
    for _ in range(100):
        file.add()
    assert len(verify(file.data).signatures) == 500
    assert verify(file.add()).verdict is Verdict.INDETERMINATE


ENVELOPING: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "what it covers": (lambda octets: octets, True),
    "nothing": (lambda octets: b"", False),
    "something else": (lambda octets: b"Pay 100", False),
    "what it covers and more": (lambda octets: octets + b"\n", False),
    "all of it but a little": (lambda octets: octets[:-1], False),
    "its digest": (lambda octets: hashlib.sha256(octets).digest(), False),
}


@pytest.mark.parametrize("what", ENVELOPING)
@pytest.mark.parametrize("entries", [b"/SubFilter/adbe.pkcs7.detached", ETSI])
def test_a_container_may_carry_what_the_signature_covers_and_nothing_else(
    verify: Verify, hierarchy: Hierarchy, entries: bytes, what: str
) -> None:
    content, accepted = ENVELOPING[what]
    report = verify(Signatures(lambda octets: hierarchy.signer.cms(content(octets))).add(entries))
    assert report.verdict is (Verdict.VALID if accepted else Verdict.MALFORMED)
    assert report.clean is accepted
    assert not report.signatures[0].format.startswith("PAdES")


def test_a_content_that_is_not_in_the_signature_is_not_taken_for_it(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    """The signature is over other octets; what it covers is put into the message afterwards."""

    def sign(octets: bytes) -> bytes:
        message = asn1_cms.ContentInfo.load(hierarchy.signer.cms(b"something else"))
        message["content"]["encap_content_info"] = {
            "content_type": "data",
            "content": core.OctetString(octets),
        }
        return bytes(message.dump(force=True))

    report = verify(Signatures(sign).add())
    assert report.verdict is Verdict.INVALID
    assert not report.clean


def test_a_document_changed_under_the_content_that_is_carried_is_refused(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    signed = Signatures(hierarchy.signer.cms).add()
    assert verify(signed).clean
    assert verify(signed.replace(b"0 0 595 842", b"0 0 595 843")).verdict is not Verdict.VALID


def rewritten(data: bytes, write: Callable[[bytes], bytes]) -> bytes:
    """The file with the digits of the signature written in another way, in the room that they have."""
    found = re.search(rb"/Contents <([0-9a-f]{%d})>" % ROOM, data)
    assert found is not None
    digits = write(found[1].rstrip(b"0") + b"0" * (len(found[1].rstrip(b"0")) % 2))
    return data[: found.start(1)] + digits + data[found.end(1) :]


HEX: dict[str, Callable[[bytes], bytes]] = {
    "white space behind": lambda digits: digits.ljust(ROOM),
    "line ends behind": lambda digits: digits + b"\r\n" * ((ROOM - len(digits)) // 2),
    "white space before": lambda digits: digits.rjust(ROOM),
    "white space between": lambda digits: b"\t \0\x0c".join((digits[:101], digits[101:])).ljust(ROOM, b"0"),
    "capitals": lambda digits: digits.upper().ljust(ROOM, b"0"),
    "an odd number of zeros": lambda digits: digits.ljust(ROOM - 1, b"0") + b" ",
}
NOT_HEX: dict[str, Callable[[bytes], bytes]] = {
    "a comment behind": lambda digits: (digits + b"%0").ljust(ROOM),
    "a string behind": lambda digits: (digits + b"><00").ljust(ROOM, b"0"),
    "an entry behind": lambda digits: (digits + b">/Reason(x)/Y<").ljust(ROOM, b"0"),
    "other characters between": lambda digits: (digits[:100] + b"-" + digits[100:]).ljust(ROOM, b"0"),
    "a digit less": lambda digits: digits[1:].ljust(ROOM),
    "a digit more": lambda digits: (b"0" + digits).ljust(ROOM),
}


@pytest.mark.parametrize("what", HEX)
def test_white_space_does_not_count_in_the_hexadecimal_string(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    signed = Signatures(lambda octets: hierarchy.signer.cms(octets, detached=True)).add()
    report = verify(rewritten(signed, HEX[what]))
    assert report.verdict is Verdict.VALID
    assert report.clean


@pytest.mark.parametrize("what", NOT_HEX)
def test_what_byte_range_leaves_out_is_one_hexadecimal_string(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    signed = Signatures(lambda octets: hierarchy.signer.cms(octets, detached=True)).add()
    report = verify(rewritten(signed, NOT_HEX[what]))
    assert report.verdict is not Verdict.VALID
    assert not report.clean


@pytest.mark.parametrize(("start", "stop"), [(-1, 0), (1, 0), (0, -1), (0, 1)])
def test_byte_range_leaves_out_the_string_with_its_brackets(
    verify: Verify, hierarchy: Hierarchy, start: int, stop: int
) -> None:
    """White space beside the string is no part of it, nor is a bracket of it signed."""
    signed = Signatures(lambda octets: hierarchy.signer.cms(octets, detached=True)).add()
    first, second, rest = map(int, re.findall(rb"/ByteRange\[0 (\d+) (\d+) (\d+)", signed)[-1])
    old = b"/ByteRange[0 %d %d %d" % (first, second, rest)
    new = b"/ByteRange[0 %d %d %d" % (first + start, second + stop, rest - stop)
    moved = signed.replace(old, new)
    octets = moved[: first + start] + moved[second + stop :]
    again = hierarchy.signer.cms(octets, detached=True).hex().encode().ljust(ROOM, b"0")
    moved = moved[: first + 1] + again + moved[first + 1 + ROOM :]
    assert verify(moved).verdict is Verdict.MALFORMED
