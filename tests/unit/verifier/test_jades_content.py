"""What JSON signatures are over: payloads, contents by name, and what in a file nobody signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.verifier.domain import Code, Coverage, Indication, Integrity, SubIndication
from services.verifier.formats import jades, jws_text
from tests.unit.verifier import jws_signing
from tests.unit.verifier.authority import Hierarchy, Signer
from tests.unit.verifier.jws_signing import (
    PAYLOAD,
    codes,
    compact,
    digest,
    entry,
    flattened,
    named,
    only,
    refused,
    url,
    verify,
)

BY_URI = "http://uri.etsi.org/19182/ObjectIdByURI"
BY_URI_HASH = "http://uri.etsi.org/19182/ObjectIdByURIHash"
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def signer(hierarchy: Hierarchy) -> Signer:
    return hierarchy.signer


# --- payload and contents ------------------------------------------------------------------------------------------


def test_a_changed_payload_is_told(hierarchy: Hierarchy, signer: Signer) -> None:
    one = only(verify(hierarchy, {**flattened(signer), "payload": url(b"khac")}))
    assert one.sub_indication is SubIndication.SIG_CRYPTO_FAILURE
    assert one.integrity is Integrity.BROKEN


def test_a_detached_payload(hierarchy: Hierarchy, signer: Signer) -> None:
    """RFC 7515 appendix F."""
    made = entry(signer)
    middle = f"{made['protected']}..{made['signature']}".encode()
    for data in (middle, json.dumps(made).encode(), json.dumps({**made, "payload": ""}).encode()):
        assert verify(hierarchy, data, detached=PAYLOAD).clean
        missing = only(verify(hierarchy, data))
        assert missing.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND
        assert only(verify(hierarchy, data, detached=b"khac")).indication is Indication.TOTAL_FAILED


def test_content_beside_an_enveloping_signature_must_be_its_own(hierarchy: Hierarchy, signer: Signer) -> None:
    data = compact(signer)
    assert verify(hierarchy, data, detached=PAYLOAD).clean
    assert only(verify(hierarchy, data, detached=b"khac")).sub_indication is SubIndication.HASH_FAILURE
    two = verify(hierarchy, data, a_txt=PAYLOAD, b_txt=PAYLOAD)
    assert only(two).indication is Indication.TOTAL_FAILED


def test_an_unencoded_payload(hierarchy: Hierarchy, signer: Signer) -> None:
    """RFC 7797: the text itself is signed."""
    plain = {"b64": False, "crit": ["b64"]}
    report = verify(hierarchy, flattened(signer, "$.02 Tờ trình", **plain))
    assert report.clean, only(report).detail
    made = entry(signer, "Tờ trình", **plain)
    middle = f"{made['protected']}..{made['signature']}".encode()
    assert verify(hierarchy, middle, detached="Tờ trình".encode()).clean
    encoded = flattened(signer)
    protected = jws_signing.text(named(signer, **plain))
    # The same text would be another content: both ways must not pass.
    assert not verify(hierarchy, {**encoded, "protected": url(protected)}).clean


def test_all_signatures_read_the_payload_the_same_way(hierarchy: Hierarchy, signer: Signer) -> None:
    """RFC 7797 section 6."""
    text = url(PAYLOAD)
    entries = [entry(signer), entry(signer, text, b64=False, crit=["b64"])]
    report = verify(hierarchy, {"payload": text, "signatures": entries})
    assert {one.sub_indication for one in report.signatures} == {SubIndication.FORMAT_FAILURE}


def described(contents: dict[str, bytes], mechanism: str = BY_URI_HASH, **more: Any) -> dict[str, Any]:
    """Header members for detached contents, not encoded."""
    data: dict[str, Any] = {"mId": mechanism, "pars": list(contents)}
    if mechanism == BY_URI_HASH:
        data |= {"hashM": "S256", "hashV": [url(digest(content)) for content in contents.values()]}
    return {"sigD": data | more, "b64": False, "crit": ["sigD", "b64"]}


def test_contents_by_digest(hierarchy: Hierarchy, signer: Signer) -> None:
    data = json.dumps(entry(signer, "", **described({"a.txt": b"mot", "thu muc/b.txt": b"hai"}))).encode()
    good = verify(hierarchy, data, a_txt=b"mot", b_txt=b"hai")
    assert good.clean, only(good).detail
    assert only(good).coverage.covered_bytes == 6
    changed = only(verify(hierarchy, data, a_txt=b"mot", b_txt=b"ba"))
    assert changed.sub_indication is SubIndication.HASH_FAILURE
    assert changed.integrity is Integrity.BROKEN
    swapped = only(verify(hierarchy, data, a_txt=b"hai", b_txt=b"mot"))
    assert swapped.sub_indication is SubIndication.HASH_FAILURE
    missing = only(verify(hierarchy, data, a_txt=b"mot"))
    assert missing.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND
    spare = only(verify(hierarchy, data, a_txt=b"mot", b_txt=b"hai", c_txt=b"ba"))
    assert spare.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND
    assert "'c.txt'" in spare.detail


def test_a_padded_digest_is_the_digest(hierarchy: Hierarchy, signer: Signer) -> None:
    padded = [url(digest(b"mot")) + "="]
    data = json.dumps(entry(signer, "", **described({"a.txt": b"mot"}, hashV=padded))).encode()
    assert verify(hierarchy, data, a_txt=b"mot").clean
    assert only(verify(hierarchy, data, a_txt=b"hai")).sub_indication is SubIndication.HASH_FAILURE


def test_encoded_contents_by_digest(hierarchy: Hierarchy, signer: Signer) -> None:
    """Without b64=false the digests are of base64url text (TS 119 182-1 5.2.8.3.3)."""
    members = described({"a.txt": url(b"mot").encode()}) | {"b64": None, "crit": ["sigD"]}
    data = json.dumps(entry(signer, "", **members)).encode()
    assert verify(hierarchy, data, detached=b"mot").clean
    assert not verify(hierarchy, data, detached=url(b"mot").encode()).clean


def test_contents_run_together_tell_no_ends(hierarchy: Hierarchy, signer: Signer) -> None:
    """The signature holds for contents with their boundary moved: it must not be taken for clean."""
    lone = entry(signer, "mot", **described({"a.txt": b"mot"}, BY_URI))
    assert verify(hierarchy, lone, a_txt=b"mot").clean
    pair = entry(signer, "mothai", **described({"a.txt": b"mot", "b.txt": b"hai"}, BY_URI))
    for first, second in ((b"mot", b"hai"), (b"moth", b"ai")):
        report = verify(hierarchy, pair, a_txt=first, b_txt=second)
        assert only(report).indication is Indication.TOTAL_PASSED
        assert Code.WRAPPING in codes(report)
        assert not report.clean
    assert only(verify(hierarchy, pair, a_txt=b"mot", b_txt=b"ba")).indication is Indication.TOTAL_FAILED


@pytest.mark.parametrize(
    "data",
    [
        5,
        {"mId": BY_URI_HASH},
        {"mId": BY_URI_HASH, "pars": []},
        {"mId": BY_URI_HASH, "pars": [5], "hashM": "S256", "hashV": ["AA"]},
        {"mId": BY_URI_HASH, "pars": ["a", "a"], "hashM": "S256", "hashV": ["AA", "AA"]},
        {"mId": BY_URI_HASH, "pars": ["a"], "hashM": "S256", "hashV": []},
        {"mId": BY_URI_HASH, "pars": ["a"], "hashM": "S256", "hashV": "A"},
        {"mId": BY_URI_HASH, "pars": ["a"], "hashM": "S256", "hashV": [5]},
        {"mId": BY_URI_HASH, "pars": ["a"], "hashM": "S256", "hashV": ["AA="]},
        {"mId": BY_URI_HASH, "pars": ["a"], "hashM": "S256", "hashV": ["AB=="]},
    ],
)
def test_descriptions_of_contents_that_break_the_rules(
    hierarchy: Hierarchy, signer: Signer, data: Any
) -> None:
    assert refused(verify(hierarchy, entry(signer, "", sigD=data), detached=b"x"))


@pytest.mark.parametrize(
    ("data", "sub"),
    [
        ({"mId": "http://uri.etsi.org/19182/HttpHeaders", "pars": ["Digest"]}, "SIGNED_DATA_NOT_FOUND"),
        ({"mId": "urn:ma", "pars": ["a"]}, "GENERIC"),
        ({"mId": BY_URI_HASH, "pars": ["a"], "hashM": "S1", "hashV": ["AA"]}, "GENERIC"),
        ({"mId": BY_URI_HASH, "pars": ["a"], "hashM": 5, "hashV": ["AA"]}, "GENERIC"),
    ],
)
def test_descriptions_of_contents_that_are_not_known(
    hierarchy: Hierarchy, signer: Signer, data: Any, sub: str
) -> None:
    one = only(verify(hierarchy, entry(signer, "", sigD=data), detached=b"x"))
    assert (one.indication, one.sub_indication) == (Indication.INDETERMINATE, SubIndication(sub))


def test_a_payload_beside_named_contents_is_refused(hierarchy: Hierarchy, signer: Signer) -> None:
    file = flattened(signer, **(described({"a.txt": b"mot"}) | {"b64": None, "crit": None}))
    assert "sigD" in refused(verify(hierarchy, file, detached=b"mot"))


# --- what nobody signed --------------------------------------------------------------------------------------------


def general(signer: Signer) -> dict[str, Any]:
    """A file with one signature in an array."""
    return {"payload": url(PAYLOAD), "signatures": [entry(signer)]}


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (flattened, lambda file: file.update(received="2026-06-01")),
        (flattened, lambda file: file.update(note=url(b"khac"))),
        (general, lambda file: file.update(note={"payload": "khac"})),
        (general, lambda file: file["signatures"][0].update(note="khac")),
    ],
)
def test_members_that_mean_nothing_are_ignored_and_told(
    hierarchy: Hierarchy, signer: Signer, make: Callable[[Signer], dict[str, Any]], change: Change
) -> None:
    """RFC 7515 7.2.1: they must be ignored; whoever reads the file may not."""
    file = make(signer)
    change(file)
    report = verify(hierarchy, file)
    assert only(report).indication is Indication.TOTAL_PASSED
    assert only(report).coverage.coverage is Coverage.PARTIAL
    assert Code.PARTLY_SIGNED in codes(report)
    assert Code.DOC_INTACT not in codes(report)
    assert report.clean
    file["payload"] = url(b"khac")
    assert only(verify(hierarchy, file)).indication is Indication.TOTAL_FAILED


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (flattened, lambda file: file.update(header={"note": "khac"})),
        (flattened, lambda file: file.update(Payload=url(b"khac"))),
        (flattened, lambda file: file.update({" payload": url(b"khac")})),
        (flattened, lambda file: file.update(etsiU=[])),
        (flattened, lambda file: file.update(content="khac")),
        (flattened, lambda file: file.update(sigD={}, note="khac")),
        (general, lambda file: file.update(x5c=[])),
        (general, lambda file: file["signatures"][0].update(payload=url(b"khac"))),
        (general, lambda file: file["signatures"][0].update(Header={"alg": "none"})),
    ],
)
def test_unsigned_members_that_could_be_taken_for_signed_ones_are_not_clean(
    hierarchy: Hierarchy, signer: Signer, make: Callable[[Signer], dict[str, Any]], change: Change
) -> None:
    file = make(signer)
    change(file)
    report = verify(hierarchy, file)
    assert only(report).indication is Indication.TOTAL_PASSED
    assert only(report).integrity is Integrity.EXTENDED
    assert Code.DOC_EXTENDED in codes(report)
    assert not report.clean


def counter(signer: Signer, file: dict[str, Any], value: bytes | None = None, **header: Any) -> str:
    """A counter-signature over the value of the file's signature, or over another."""
    over = jws_text.from_base64url(file["signature"], "value") if value is None else value
    made = entry(signer, over, **header)
    return f"{made['protected']}..{made['signature']}"


def test_counter_signatures_are_judged(hierarchy: Hierarchy, signer: Signer) -> None:
    file = flattened(signer)
    good = {"cSig": counter(signer, file)}
    attached = {"cSig": {**entry(signer, b""), "payload": ""}}
    for clear in (False, True):
        report = verify(hierarchy, jws_signing.with_unsigned(file, good, clear=clear))
        assert report.clean
        assert [one.name for one in report.signatures] == ["signature-1", "signature-1/counter-1"]
    for bad in (
        {"cSig": counter(signer, file, b"another value")},
        {"cSig": counter(signer, file, sigD={"mId": BY_URI, "pars": ["a"]})},
        {"cSig": counter(signer, file)[:-4] + "AAAA"},
        {"cSig": "khong phai"},
        {"cSig": 5},
        {"cSig": {"signatures": [entry(signer), entry(signer)]}},
        attached,
    ):
        report = verify(hierarchy, jws_signing.with_unsigned(file, bad))
        assert report.signatures[0].indication is Indication.TOTAL_PASSED
        assert report.signatures[1].indication is Indication.TOTAL_FAILED, bad
        assert not report.clean


def test_counter_signatures_of_another_payload_are_told(hierarchy: Hierarchy, signer: Signer) -> None:
    """The countersigned value is in the counter-signature, and is another's."""
    file = flattened(signer)
    lifted = flattened(signer, b"the value of another signature")
    report = verify(hierarchy, jws_signing.with_unsigned(file, {"cSig": lifted}))
    assert report.signatures[1].sub_indication is SubIndication.HASH_FAILURE


def test_counter_signatures_are_bounded(hierarchy: Hierarchy, signer: Signer) -> None:
    file = flattened(signer)
    many = [{"cSig": counter(signer, file)}] * (jades.MAX_COUNTER_SIGNATURES + 1)
    deep = dict(file)
    for _ in range(jades.MAX_COUNTER_DEPTH + 1):
        deep = jws_signing.with_unsigned(flattened(signer), {"cSig": deep})
    for data in (jws_signing.with_unsigned(file, *many), deep):
        report = verify(hierarchy, data)
        assert report.notices[0].code is Code.LIMIT_REACHED


@pytest.mark.parametrize(
    "header",
    [
        {"etsiU": 5},
        {"etsiU": "AAAA"},
        {"etsiU": [5, None, "x y", "AAAA", url(b"[]"), url(b'{"a":1,"b":2}')]},
        {"etsiU": [{"sigTst": 5}, url(b'{"xVals":5}')]},
        {"etsiU": [{"sigTst": {"tstTokens": [{"val": "AAAA"}, 5, {"val": 7}]}}, {"arcTst": None}]},
        {
            "etsiU": [
                {"xVals": [{"x509Cert": {"val": "AAAA"}}, 5]},
                {"rVals": {"crlVals": 5, "ocspVals": [5]}},
            ]
        },
        {"etsiU": [{}] * 1001},
    ],
)
def test_an_unsigned_header_cannot_fail_a_signature(
    hierarchy: Hierarchy, signer: Signer, header: dict[str, Any]
) -> None:
    report = verify(hierarchy, {**flattened(signer), "header": header})
    assert only(report).indication is Indication.TOTAL_PASSED
    assert Code.TS_OK not in codes(report)
