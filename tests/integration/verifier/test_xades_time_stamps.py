"""Time-stamps in XAdES: each is over what EN 319 132-1 says, and none that was forged, moved or doubled helps."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from services.kernel.values import DigestAlgorithm
from services.signer.formats.format import Document, Signed
from services.signer.formats.parameters import Level
from services.signer.formats.xades import XmlSignature
from services.verifier.domain import Code, DocumentReport, Indication, SubIndication, TimeSource
from services.verifier.formats import xml_references
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signed
from tests.support.time_world import START, brief_signer, days, unit
from tests.support.xml_tools import DECLARATION, DS, XADES, XADES141

AT = days(1.5)
"""The signer's certificate was revoked half a day before."""
SHA256 = DigestAlgorithm.SHA256
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
METHOD = f'<ds:CanonicalizationMethod xmlns:ds="{DS}" Algorithm="{EXCLUSIVE}"/>'
RANK = ["XAdES-B-B", "XAdES-B-T", "XAdES-B-LT", "XAdES-B-LTA"]
MUTATIONS = 600


def made(level: Level = Level.B_B, packaging: str = "ENVELOPED", document: bytes = DECLARATION) -> bytes:
    """A declaration signed by the brief signer at START."""
    form, who = XmlSignature(qualified=True), brief_signer()
    out = signed(form, document, who, who.parameters(form="XADES", level=level, packaging=packaging))
    return stamping.raise_to(form, Signed(Document.of(document), out), level, at=START, unit=unit())


@cache
def plain() -> bytes:
    """One at B-B."""
    return made()


@cache
def archived() -> bytes:
    """One at B-LTA."""
    return made(Level.B_LTA)


def verify(data: bytes, at: datetime = AT, *crls: bytes) -> DocumentReport:
    """Report by a list of a day after START that revokes the signer."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    lists = crls or (stamping.crl(days(1), revoked=(brief_signer().chain[0],)),)
    service = VerificationService((XmlFormat(),), TrustMaterial((anchor,), (), lists))
    return service.verify(SubmittedDocument(data), at)


def codes(report: DocumentReport) -> set[Code]:
    """Codes of the first signature's notices."""
    return {notice.code for notice in report.signatures[0].notices}


def written(data: bytes, name: str) -> bytes:
    """The first element of that name in exclusive canonical form."""
    element = next(etree.fromstring(data).iter(name))
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_comments=False))


def token(octets: bytes, at: datetime = START) -> bytes:
    """An honest token over these octets."""
    return stamping.token(stamping.imprint(octets), SHA256, at, unit())


def over_value(data: bytes) -> bytes:
    """An honest token over the value of the first signature."""
    return token(written(data, f"{{{DS}}}SignatureValue"))


def stamp(value: bytes, name: str = "SignatureTimeStamp", space: str = XADES, more: str = "") -> str:
    """A time-stamp property around a token."""
    encoded = base64.b64encode(value).decode()
    inside = f'{more}{METHOD}<x:EncapsulatedTimeStamp xmlns:x="{XADES}">{encoded}</x:EncapsulatedTimeStamp>'
    return f'<t:{name} xmlns:t="{space}">{inside}</t:{name}>'


def with_unsigned(data: bytes, text: str) -> bytes:
    """The document with one more unsigned property in its first signature, behind those that are there."""
    end = b"</xades:UnsignedSignatureProperties>"
    if end in data:
        return data.replace(end, text.encode() + end, 1)
    return with_properties(
        data, f"<xades:UnsignedSignatureProperties>{text}</xades:UnsignedSignatureProperties>"
    )


def with_properties(data: bytes, text: str) -> bytes:
    """The document with one more UnsignedProperties in its first signature."""
    whole = f"<xades:UnsignedProperties>{text}</xades:UnsignedProperties>"
    end = b"</xades:QualifyingProperties>"
    assert end in data
    return data.replace(end, whole.encode() + end, 1)


def test_the_honest_token_helps() -> None:
    report = verify(with_unsigned(plain(), stamp(over_value(plain()))))
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert report.signatures[0].format == "XAdES-B-T"
    assert report.signatures[0].signing_time.source is TimeSource.SIGNATURE
    assert {Code.TS_OK, Code.CERT_REVOKED_LATER} <= codes(report)


def test_a_stamp_may_name_the_value_that_it_is_over() -> None:
    (name,) = re.findall(rb'<ds:SignatureValue Id="([^"]+)"', plain())
    include = f'<x:Include xmlns:x="{XADES}" URI="#{name.decode()}"/>'
    report = verify(with_unsigned(plain(), stamp(over_value(plain()), more=include)))
    assert report.signatures[0].indication is Indication.TOTAL_PASSED


def _other_value(data: bytes) -> str:
    """A token for another signature over the same declaration."""
    other = made(document=DECLARATION.replace(b"1.000.000", b"2.000.000"))
    assert written(other, f"{{{DS}}}SignatureValue") != written(data, f"{{{DS}}}SignatureValue")
    return stamp(over_value(other))


def _value_octets(data: bytes) -> bytes:
    text = etree.fromstring(data).findtext(f".//{{{DS}}}SignatureValue")
    return base64.b64decode(text or "")


FORGERIES: dict[str, Callable[[bytes], str]] = {
    "over another signature": _other_value,
    "over the value's octets": lambda data: stamp(token(_value_octets(data))),
    "over the signed information": lambda data: stamp(token(written(data, f"{{{DS}}}SignedInfo"))),
    "over the declaration": lambda _: stamp(token(DECLARATION)),
    "over a value in another canonical form": lambda data: stamp(over_value(data)).replace(
        EXCLUSIVE, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    ),
    "an unknown canonical form": lambda data: stamp(over_value(data)).replace(EXCLUSIVE, "urn:other"),
    "two canonical forms": lambda data: stamp(over_value(data)).replace(METHOD, METHOD * 2),
    "references' time-stamp over the value": lambda data: stamp(over_value(data), "RefsOnlyTimeStamp"),
    "archive time-stamp over the value": lambda data: stamp(over_value(data), "ArchiveTimeStamp", XADES141),
    "a time-stamp of another namespace": lambda data: stamp(over_value(data), space="urn:other"),
    "naming something else to be over": lambda data: stamp(
        over_value(data), more=f'<x:Include xmlns:x="{XADES}" URI="#elsewhere"/>'
    ),
    "an XML token": lambda data: stamp(over_value(data)).replace("EncapsulatedTimeStamp", "XMLTimeStamp"),
    "inside another property": lambda data: (
        f'<t:CounterSignature xmlns:t="{XADES}">{stamp(over_value(data))}</t:CounterSignature>'
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forged_time_stamp_helps(name: str) -> None:
    report = verify(with_unsigned(plain(), FORGERIES[name](plain())))
    first = report.signatures[0]
    assert first.sub_indication is SubIndication.REVOKED_NO_POE, first.detail
    assert first.format == "XAdES-B-B"
    assert first.signing_time.best == AT
    assert Code.TS_OK not in codes(report)


def test_properties_in_two_places_are_nobodys() -> None:
    once = with_unsigned(plain(), stamp(over_value(plain())))
    for text in (
        "",
        f"<xades:UnsignedSignatureProperties>{stamp(over_value(plain()))}</xades:UnsignedSignatureProperties>",
    ):
        report = verify(with_properties(once, text))
        assert report.signatures[0].sub_indication is SubIndication.REVOKED_NO_POE
        assert Code.TS_NOT_CHECKED in codes(report)


def test_properties_that_name_another_signature_count_for_neither() -> None:
    """Two signatures of one declaration; the first one's stamp stands in the second one's properties."""
    two = made(document=plain())
    values = [one.text for one in etree.fromstring(two).iter(f"{{{DS}}}SignatureValue")]
    assert len(values) == 2
    first_id, second_id = re.findall(rb'<ds:Signature [^>]*Id="([^"]+)"', two)
    value = written(two, f"{{{DS}}}SignatureValue")
    # Into the last QualifyingProperties, which is the second signature's.
    head, end, tail = two.rpartition(b"</xades:QualifyingProperties>")
    text = f"<xades:UnsignedSignatureProperties>{stamp(token(value))}</xades:UnsignedSignatureProperties>"
    moved = head + f"<xades:UnsignedProperties>{text}</xades:UnsignedProperties>".encode() + end + tail
    for data in (moved, moved.replace(b'Target="#' + second_id, b'Target="#' + first_id)):
        for one in verify(data).signatures:
            assert one.sub_indication is SubIndication.REVOKED_NO_POE
            assert one.format == "XAdES-B-B"
    own = with_unsigned(two, stamp(token(value)))
    assert verify(own).signatures[0].indication is Indication.TOTAL_PASSED
    led_away = own.replace(b'Target="#' + first_id, b'Target="#' + second_id, 1)
    assert verify(led_away).signatures[0].sub_indication is SubIndication.REVOKED_NO_POE


def test_a_later_time_stamp_of_the_signature_does_not_reach_back() -> None:
    late = stamp(token(written(plain(), f"{{{DS}}}SignatureValue"), days(1.2)))
    assert verify(with_unsigned(plain(), late)).signatures[0].sub_indication is SubIndication.REVOKED_NO_POE


def _stamps(data: bytes) -> list[tuple[Code, str]]:
    told = (Code.TS_OK, Code.TS_BAD, Code.TS_UNDECIDED)
    return [
        (n.code, n.detail.partition(" of ")[0]) for n in verify(data).signatures[0].notices if n.code in told
    ]


def test_a_time_stamp_over_signature_and_references_counts() -> None:
    """EN 319 132-1 A.1.5.1: the value, then the earlier time-stamps and references in their order."""
    first = f'<t:SignatureTimeStamp xmlns:t="{XADES}">{METHOD}</t:SignatureTimeStamp>'
    references = f'<t:CompleteCertificateRefsV2 xmlns:t="{XADES141}"></t:CompleteCertificateRefsV2>'
    other = f'<t:CertificateValues xmlns:t="{XADES}"></t:CertificateValues>'
    data = with_unsigned(plain(), other + first + references)
    parts = [
        f"{{{DS}}}SignatureValue",
        f"{{{XADES}}}SignatureTimeStamp",
        f"{{{XADES141}}}CompleteCertificateRefsV2",
    ]
    octets = b"".join(written(data, part) for part in parts)
    for name, space in (("SigAndRefsTimeStamp", XADES), ("SigAndRefsTimeStampV2", XADES141)):
        good = with_unsigned(data, stamp(token(octets), name, space))
        assert verify(good).signatures[0].indication is Indication.TOTAL_PASSED
        moved = with_unsigned(plain(), stamp(token(octets), name, space) + other + first + references)
        assert verify(moved).signatures[0].sub_indication is SubIndication.REVOKED_NO_POE
    alone = with_unsigned(data, stamp(token(written(data, parts[2])), "RefsOnlyTimeStampV2", XADES141))
    assert _stamps(alone) == [(Code.TS_OK, "references time stamp")]
    assert verify(alone).signatures[0].sub_indication is SubIndication.REVOKED_NO_POE


def test_an_archive_time_stamp_of_1_3_2_leaves_out_what_is_referenced() -> None:
    """TS 101 903 v1.3.2 7.7.1: Objects that a reference covers are not counted again."""
    data = made(packaging="ENVELOPING")
    names = [f"{{{DS}}}{name}" for name in ("Object", "SignedInfo", "SignatureValue", "KeyInfo")]
    properties = written(data, f"{{{XADES}}}SignedProperties")
    held, *rest = (written(data, name) for name in names)
    over = b"".join((held, properties, *rest))
    assert _stamps(with_unsigned(data, stamp(token(over), "ArchiveTimeStamp"))) == [
        (Code.TS_OK, "archive time stamp")
    ]
    assert _stamps(with_unsigned(data, stamp(token(over), "ArchiveTimeStamp", XADES141)))[0][0] is Code.TS_BAD
    again = stamp(token(over + held), "ArchiveTimeStamp", XADES141)
    assert _stamps(with_unsigned(data, again))[0][0] is Code.TS_OK
    assert verify(with_unsigned(data, again)).signatures[0].indication is Indication.TOTAL_PASSED


def _unsigned(data: bytes) -> tuple[etree._Element, etree._Element]:
    root = etree.fromstring(data)
    return root, next(root.iter(f"{{{XADES}}}UnsignedSignatureProperties"))


def _rearranged(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Every unsigned property doubled, taken out and moved to either end."""
    for number in range(len(_unsigned(data)[1])):
        for action in ("double", "drop", "first", "last"):
            root, properties = _unsigned(data)
            one = properties[number]
            if action == "double":
                properties.insert(number, etree.fromstring(etree.tostring(one, with_tail=False)))
            elif action == "drop":
                properties.remove(one)
            elif action == "first":
                properties.insert(0, one)
            else:
                properties.append(one)
            yield f"{action} {number}", bytes(etree.tostring(root.getroottree()))


def test_what_an_archive_time_stamp_is_over_cannot_be_rearranged() -> None:
    """The stamp of a changed line of properties is over something else; the signature keeps what is left."""
    data, last = archived(), len(_unsigned(archived())[1]) - 1
    assert verify(data, days(10), stamping.crl(days(10))).signatures[0].format == "XAdES-B-LTA"
    seen = 0
    for action, changed in _rearranged(data):
        word, number = action.split()
        same = [one.tag for one in _unsigned(changed)[1]] == [one.tag for one in _unsigned(data)[1]]
        behind = word == "last" and int(number) == last
        report = verify(changed, days(10), stamping.crl(days(10)))
        level = report.signatures[0].format
        if same or behind:
            assert level == "XAdES-B-LTA"
        else:
            doubled_stamp = word == "double" and int(number) == last
            assert (level == "XAdES-B-LTA") is doubled_stamp, action
            seen += 1
    assert seen > 5


def test_an_archive_time_stamp_is_worth_nothing_in_another_signature() -> None:
    other = made(Level.B_T, document=DECLARATION.replace(b"1.000.000", b"2.000.000"))
    properties = b"".join(
        etree.tostring(one, with_tail=False) for one in list(_unsigned(archived())[1])[1:]
    ).decode()
    report = verify(with_unsigned(other, properties), days(10), stamping.crl(days(10)))
    assert Code.TS_BAD in codes(report)
    # The values are as good anywhere; what they are protected by is not.
    assert report.signatures[0].format == "XAdES-B-LT"


def _level(report: DocumentReport) -> int:
    return max((RANK.index(one.format) for one in report.signatures if one.format in RANK), default=-1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT, Level.B_LTA])
@pytest.mark.parametrize("packaging", ["ENVELOPED", "ENVELOPING"])
def test_no_mutation_of_unsigned_properties_raises_a_level_or_reaches_back(
    level: Level, packaging: str
) -> None:
    """Unsigned properties are neutral: what is changed there can only take proofs away, never the signature's word."""
    data = made(level, packaging)
    dice = random.Random(f"{level} {packaging}")  # noqa: S311 - the same mutations in every run
    start, end = data.index(b"<xades:UnsignedProperties"), data.index(b"</xades:UnsignedProperties>")
    highest = _level(verify(data))
    assert highest == RANK.index(f"XAdES-{level.value.replace('_', '-')}")
    for _ in range(MUTATIONS // 6):
        mutated = bytearray(data)
        position = dice.randrange(start, end)
        match dice.randrange(3):
            case 0:
                mutated[position] ^= 1 << dice.randrange(8)
            case 1:
                mutated[position:position] = dice.randbytes(dice.randrange(1, 4))
            case _:
                del mutated[position : position + dice.randrange(1, 4)]
        report = verify(bytes(mutated))
        assert _level(report) <= highest
        for one in report.signatures:
            if one.indication is Indication.TOTAL_PASSED:
                assert one.signing_time.best == START
            assert (
                one.indication is not Indication.TOTAL_FAILED
                or one.sub_indication is SubIndication.FORMAT_FAILURE
            )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("level", [Level.B_T, Level.B_LTA])
def test_no_mutation_of_what_is_signed_passes_at_any_level(level: Level) -> None:
    data = made(level)
    dice = random.Random(f"signed {level}")  # noqa: S311 - the same mutations in every run
    patterns = [
        rb"<ds:SignedInfo.*?</ds:SignedInfo>",
        rb"(?<=-value\">)[^<]+(?=</ds:SignatureValue>)",
        rb"<xades:SignedProperties.*?</xades:SignedProperties>",
        rb"<HSoKhaiThue.*?<tenNNT>[^<]+",
    ]
    spans = [found.span() for one in patterns if (found := re.search(one, data, re.DOTALL))]
    assert len(spans) == len(patterns)
    for _ in range(MUTATIONS // 4):
        start, end = dice.choice(spans)
        position, bit = dice.randrange(start, end), 1 << dice.randrange(8)
        mutated = bytearray(data)
        mutated[position] ^= bit
        report = verify(bytes(mutated), START, stamping.crl(START))
        if report.clean:
            forms = [_plain_form(one) for one in (data, bytes(mutated))]
            assert forms[0] == forms[1], mutated[position - 30 : position + 30]


def _plain_form(data: bytes) -> bytes:
    """What is the same to everybody: without white space of the value, and declarations of prefixes not used."""
    written_out = etree.tostring(
        etree.fromstring(data).getroottree(), method="c14n", exclusive=True, with_comments=False
    )
    return b"".join(written_out.split())


def test_time_stamps_make_no_more_to_hash_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each canonical form of its own makes the whole document be written anew; what is too much proves nothing."""
    form = '<e:InclusiveNamespaces xmlns:e="{}" PrefixList="p{}"/></ds:CanonicalizationMethod>'
    stamps = [
        stamp(token(b"x"), "ArchiveTimeStamp", XADES141).replace("/>", f">{form.format(EXCLUSIVE, number)}")
        for number in range(40)
    ]
    data = with_unsigned(plain(), "".join(stamps))
    # Enough for the references, which write the document four times over, and not for forty more times.
    monkeypatch.setattr(xml_references, "MAX_HASHED", 10 * len(data))
    report = verify(data, START, stamping.crl(START))
    told = [n.detail for n in report.signatures[0].notices if n.code is Code.TS_BAD]
    assert any("cannot be written" in detail for detail in told)
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert report.signatures[0].format == "XAdES-B-B"
