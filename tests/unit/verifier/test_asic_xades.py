"""Containers with XML signatures that other makers write: counter-signatures inside, old media types, odd places."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.verifier.domain import Code, DocumentReport, Indication, Verdict
from services.verifier.formats.asic import AsicFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.support.containers import codes, packed
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.xml_signing import DS, EXCLUSIVELY, Target, signature

XADES = "http://uri.etsi.org/01903/v1.3.2#"
MIMETYPE = {"mimetype": b"application/vnd.etsi.asic-e+zip"}
FILE = "META-INF/signatures0.xml"
DATA = {"don.json": b'{"ten": "An"}', "phu-luc.json": b'{"so": 15}'}


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """As everywhere, with a signer whose key is RSA, which needs no numbers side by side."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def verify(hierarchy: Hierarchy, files: dict[str, bytes]) -> DocumentReport:
    """With trust."""
    service = VerificationService((AsicFormat(),), hierarchy.trust())
    return service.verify(SubmittedDocument(packed(files)), NOW)


def over(name: str) -> Target:
    return Target(name, DATA[name], "")


def signature_file(*signatures: str) -> bytes:
    inside = "".join(signatures)
    around = "http://uri.etsi.org/02918/v1.2.1#"
    return f'<asic:XAdESSignatures xmlns:asic="{around}">{inside}</asic:XAdESSignatures>'.encode()


def with_counter(hierarchy: Hierarchy, *data: str, value: str = "") -> bytes:
    """A signature over the first file, and in it a counter-signature over its value (or another) and this data."""
    main = signature(hierarchy.signer, over("don.json")).replace(
        "<ds:SignatureValue>", '<ds:SignatureValue Id="v">'
    )
    found = re.search("<ds:SignatureValue.*</ds:SignatureValue>", main)
    assert found is not None
    own = found[0].replace('<ds:SignatureValue Id="v">', f'<ds:SignatureValue xmlns:ds="{DS}" Id="v">')
    countersigned = Target("#v", value.encode() or own.encode(), EXCLUSIVELY)
    counter = signature(hierarchy.signer, countersigned, *map(over, data))
    properties = (
        f'<ds:Object><x:QualifyingProperties xmlns:x="{XADES}"><x:UnsignedProperties><x:UnsignedSignatureProperties>'
        f"<x:CounterSignature>{counter}</x:CounterSignature></x:UnsignedSignatureProperties></x:UnsignedProperties>"
        "</x:QualifyingProperties></ds:Object>"
    )
    return signature_file(main.replace("</ds:KeyInfo>", f"</ds:KeyInfo>{properties}", 1))


@pytest.mark.parametrize("data", [("phu-luc.json",), ("don.json", "phu-luc.json")])
def test_a_counter_signature_inside_may_be_over_another_object_too(
    hierarchy: Hierarchy, data: tuple[str, ...]
) -> None:
    """It is over the value beside it, and so over what that one is over: together they are over all."""
    files = {**MIMETYPE, **DATA, FILE: with_counter(hierarchy, *data)}
    report = verify(hierarchy, files)
    assert (report.verdict, report.clean) == (Verdict.VALID, True), [s.detail for s in report.signatures]
    assert len(report.signatures) == 2
    assert Code.PARTLY_SIGNED in codes(report)
    for name, octets in DATA.items():
        assert verify(hierarchy, {**files, name: octets + b" "}).verdict is Verdict.INVALID
    assert Code.NOT_ALL_SIGNED in codes(verify(hierarchy, {**files, "them.json": b"{}"}))


def test_a_counter_signature_inside_that_is_over_less_leaves_the_rest_unsigned(hierarchy: Hierarchy) -> None:
    files = {**MIMETYPE, **DATA, FILE: with_counter(hierarchy)}
    report = verify(hierarchy, files)
    assert (report.verdict, report.clean) == (Verdict.INDETERMINATE, False)
    assert Code.NOT_ALL_SIGNED in codes(report)


def test_a_counter_signature_over_another_value_joins_nothing(hierarchy: Hierarchy) -> None:
    files = {**MIMETYPE, **DATA, FILE: with_counter(hierarchy, "phu-luc.json", value="<x></x>")}
    report = verify(hierarchy, files)
    assert not report.clean
    assert report.signatures[1].indication is Indication.TOTAL_FAILED


def test_beside_a_second_signature_a_counter_signature_is_not_over_both(hierarchy: Hierarchy) -> None:
    """Which of the two it makes one whole with is not asked: neither."""
    inside = with_counter(hierarchy, "phu-luc.json")
    second = signature(hierarchy.signer, over("don.json")).encode()
    files = {**MIMETYPE, **DATA, FILE: inside.replace(b"</asic:", second + b"</asic:")}
    report = verify(hierarchy, files)
    assert len(report.signatures) == 3
    assert not report.clean


def alone(hierarchy: Hierarchy, *, policy: bool = False) -> bytes:
    """A signature over both files; with a policy of its own, in properties that it is over."""
    if not policy:
        return signature_file(signature(hierarchy.signer, *map(over, DATA)))
    properties = (
        f'<x:SignedProperties xmlns:x="{XADES}" Id="p"><x:SignedSignatureProperties><x:SignaturePolicyIdentifier>'
        "<x:SignaturePolicyId></x:SignaturePolicyId></x:SignaturePolicyIdentifier></x:SignedSignatureProperties>"
        "</x:SignedProperties>"
    )
    around = f'<ds:Object><x:QualifyingProperties xmlns:x="{XADES}">{properties}</x:QualifyingProperties></ds:Object>'
    own = Target("#p", properties.encode(), EXCLUSIVELY, "http://uri.etsi.org/01903#SignedProperties")
    return signature_file(signature(hierarchy.signer, *map(over, DATA), own, inside=around))


@pytest.mark.parametrize(
    ("told", "clean"),
    [
        (b"application/vnd.etsi.asic-e+zip", True),
        (b"application/vnd.bdoc-1.0", True),
        (b"application/vnd.bdoc-1.0\n", True),
        (b"application/vnd.bdoc-1.1", False),
        (b"application/zip", False),
    ],
)
def test_the_media_type_of_the_forerunner_says_what_a_container_is(
    hierarchy: Hierarchy, told: bytes, clean: bool
) -> None:
    """A signature by a policy stands in a container that says so; BDOC 1.0 is ASiC-E under its old name."""
    files = {"mimetype": told, **DATA, FILE: alone(hierarchy, policy=True)}
    report = verify(hierarchy, files)
    assert (report.verdict is Verdict.VALID, report.clean) == (clean, clean), report.signatures[0].detail
    if clean:
        assert report.format == "ASiC-E"
        assert verify(hierarchy, {**files, "don.json": b"{}"}).verdict is Verdict.INVALID


@pytest.mark.parametrize("name", ["META-INF/signatures/signatures0.xml", "META-INF/signature0.xml"])
@pytest.mark.parametrize(
    "mimetype",
    [
        {},
        MIMETYPE,
        {"mimetype": b"application/vnd.bdoc-1.0"},
        {"mimetype": b"application/vnd.lt.archyvai.adoc-2008"},
    ],
)
def test_a_signature_at_another_place_is_read_and_not_passed(
    hierarchy: Hierarchy, name: str, mimetype: dict[str, bytes]
) -> None:
    """It would be wrong to say that nobody signed, and no reader of the standard looks there."""
    files = {**mimetype, **DATA, name: alone(hierarchy)}
    report = verify(hierarchy, files)
    assert (report.verdict, report.clean) == (Verdict.INDETERMINATE, False)
    assert Code.NOT_ALL_SIGNED in codes(report)
    assert report.signatures[0].integrity.value == "intact"
    assert verify(hierarchy, {**files, "don.json": b"{}"}).verdict is Verdict.INVALID


def test_a_file_that_is_only_called_like_a_signature_is_none(hierarchy: Hierarchy) -> None:
    for content in (b"<schema/>", b"", b"\x00"):
        report = verify(hierarchy, {**DATA, "META-INF/schema/signature.xml": content})
        assert (report.verdict, report.signatures) == (Verdict.UNSIGNED, ())


def test_beside_a_signature_file_others_are_strangers(hierarchy: Hierarchy) -> None:
    """They are of another reader's form: what the standard's file is not over stays unsigned."""
    files = {**MIMETYPE, **DATA, FILE: alone(hierarchy)}
    report = verify(hierarchy, {**files, "META-INF/signatures/signatures0.xml": alone(hierarchy)})
    assert len(report.signatures) == 1
    assert not report.clean
    assert Code.NOT_ALL_SIGNED in codes(report)


def test_a_comment_that_splits_text_of_a_canonicalised_member_is_never_clean(hierarchy: Hierarchy) -> None:
    content = "<don><tien>100</tien></don>"
    whole = signature(hierarchy.signer, Target("don.xml", content.encode(), EXCLUSIVELY))
    files = {**MIMETYPE, "don.xml": content.encode(), FILE: signature_file(whole)}
    assert verify(hierarchy, files).clean
    split = {**files, "don.xml": content.replace("100", "1<!-- -->00").encode()}
    report = verify(hierarchy, split)
    assert (report.verdict, report.clean) == (Verdict.VALID, False)
    assert Code.WRAPPING in codes(report)
    as_it_is = signature(hierarchy.signer, Target("don.xml", split["don.xml"], ""))
    assert verify(hierarchy, {**split, FILE: signature_file(as_it_is)}).clean
