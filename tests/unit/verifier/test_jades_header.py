"""Protected headers of JSON signatures from hostile hands: what is refused, and what may be borne."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from services.verifier.domain import SubIndication
from tests.unit.verifier import jws_signing
from tests.unit.verifier.authority import Authority, Hierarchy, Signer
from tests.unit.verifier.jws_signing import (
    UNNAMED,
    compact,
    digest,
    flattened,
    named,
    only,
    refused,
    url,
    verify,
)


@pytest.fixture(scope="module")
def signer(hierarchy: Hierarchy) -> Signer:
    return hierarchy.signer


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"crit": ["urn:ma"], "urn:ma": True}, "'urn:ma'"),
        ({"crit": "b64"}, "crit"),
        ({"crit": [["iat"]]}, "crit"),
        ({"crit": [None]}, "crit"),
        ({"b64": False}, "crit"),
        ({"b64": "false", "crit": ["b64"]}, "b64"),
        ({"b64": 0, "crit": ["b64"]}, "b64"),
        ({"iat": "1780300000"}, "iat"),
        ({"iat": True}, "iat"),
        ({"sigT": "2026-06-01"}, "sigT"),
        ({"sigT": "2026-02-30T00:00:00Z"}, "sigT"),
        ({"sigT": "2026-06-01T00:00:00+07:00"}, "sigT"),
        ({"nbf": 1790000000}, "nbf"),
        ({"nbf": 1e18}, "nbf"),
        ({"nbf": "2026-06-01T07:46:41Z"}, "nbf"),
        ({"nbf": "2026-06-01"}, "nbf"),
        ({"crit": ["exp"], "exp": 1780300000}, "exp"),
        ({"exp": 1}, "exp"),
        ({"crit": ["exp"], "exp": 1e18}, "exp"),
        ({"crit": ["exp"], "exp": 1790000000, "iat": None}, "exp"),
        ({"exp": "2026-06-01T14:46:40+07:00"}, "exp"),
        ({"exp": "2026-06-01 07:46:41Z"}, "exp"),
        ({"exp": "0001-01-01T00:00:00+07:00"}, "exp"),
        ({"exp": True}, "exp"),
        ({"etsiU": []}, "etsiU"),
        ({"x5c": "AAAA"}, "x5c"),
        ({"x5c": ["A" * 5]}, "x5c"),
        ({"x5c": [5]}, "x5c"),
        ({"x5c": ["AAAA"] * 51}, "x5c"),
        ({"x5t#S256": 5}, "x5t#S256"),
        ({"x5t#S256": "a b"}, "x5t#S256"),
        ({"x5t#S256": "AAA=="}, "x5t#S256"),
        ({"x5t#S256": "AAB="}, "x5t#S256"),
        ({"x5t#S256": "A==="}, "x5t#S256"),
        ({"x5t#S256": "=AAA"}, "x5t#S256"),
        ({"x5t#o": "AAAA"}, "x5t#o"),
        ({"sigX5ts": []}, "sigX5ts"),
        ({"sigX5ts": [{"digAlg": "S256", "digVal": "AB"}]}, "sigX5ts"),
    ],
)
def test_headers_that_break_the_rules_are_refused(
    hierarchy: Hierarchy, signer: Signer, more: dict[str, Any], about: str
) -> None:
    assert about in refused(verify(hierarchy, compact(signer, **more)))


@pytest.mark.parametrize(
    "more",
    [
        {"crit": []},
        {"crit": ["iat", "iat"]},
        {"crit": ["alg", "x5c", "typ"], "typ": "jose"},
        {"crit": ["nbf"], "nbf": 1780299999},
        {"crit": ["nbf"], "nbf": "2026-06-01T07:46:40Z"},
        {"crit": ["exp"], "exp": 1780300001},
        {"crit": ["exp"], "exp": "2026-06-01T07:46:41Z"},
        {"crit": ["exp"], "exp": "2026-06-01T14:46:40.5+07:00"},
        {"exp": 1780300001, "iat": None},
        {"x5u": "http://127.0.0.1:1/cert.pem", "jku": "http://127.0.0.1:1/keys"},
        {"sigPId": {"id": {"id": "urn:oid:1.2.3"}, "digAlg": "S256", "digVal": "AAAA"}},
        {"iat": 1780300000.5},
        {"la": "không ai hiểu"},
    ],
)
def test_headers_that_may_be_borne_pass(hierarchy: Hierarchy, signer: Signer, more: dict[str, Any]) -> None:
    report = verify(hierarchy, compact(signer, **more))
    assert report.clean, only(report).detail


def test_a_time_beyond_all_times_says_nothing(hierarchy: Hierarchy, signer: Signer) -> None:
    """As of milliseconds, which some write."""
    for value in (1780300000000, -5, 10**39):
        one = only(verify(hierarchy, compact(signer, iat=value)))
        assert one.signing_time.claimed is None
        assert one.format == "JWS"
    both = only(verify(hierarchy, compact(signer, iat=1780300000000, sigT="2026-06-01T08:00:00Z")))
    assert both.format == "JAdES-B-B"


@pytest.mark.parametrize(
    "name", ["alg", "crit", "b64", "iat", "sigT", "sigD", "x5t#o", "sigX5ts", "cty", "adoTst", "sigPId"]
)
def test_nothing_that_decides_may_be_left_unsigned(hierarchy: Hierarchy, signer: Signer, name: str) -> None:
    file = {**flattened(signer, iat=None), "header": {name: "ES256"}}
    assert repr(name) in refused(verify(hierarchy, file))


def test_padded_references_and_broken_lines_are_read(hierarchy: Hierarchy, signer: Signer) -> None:
    header = named(signer)
    lines = [f"{one[:64]}\r\n{one[64:]}\n" for one in header["x5c"]]
    padded = header["x5t#S256"] + "="
    written: dict[str, Any] = {"x5c": lines, "x5t#S256": padded}
    assert verify(hierarchy, compact(signer, **written)).clean
    written["x5t#S256"] = url(digest(b"another certificate")) + "="
    report = verify(hierarchy, compact(signer, **written))
    assert only(report).sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_no_name_may_stand_in_both_headers(hierarchy: Hierarchy, signer: Signer) -> None:
    file = flattened(signer)
    file["header"] = {"x5c": named(signer)["x5c"]}
    assert "'x5c'" in refused(verify(hierarchy, file))


def test_an_unsigned_chain_serves_where_its_digest_is_signed(hierarchy: Hierarchy, signer: Signer) -> None:
    file = flattened(signer, x5c=None)
    file["header"] = {"x5c": named(signer)["x5c"], "kid": "1"}
    assert verify(hierarchy, file).clean
    other = hierarchy.issuing.signer(key=signer.key)
    file["header"] = {"x5c": named(other)["x5c"]}
    # The same key in another certificate: the signed digest tells them apart.
    assert only(verify(hierarchy, file)).sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


@pytest.mark.parametrize("form", ["x5t#S256", "x5t", "x5t#o", "sigX5ts"])
def test_every_kind_of_reference_binds(hierarchy: Hierarchy, signer: Signer, form: str) -> None:
    def header(of: bytes) -> dict[str, Any]:
        long = {"digAlg": "S512", "digVal": url(digest(of, hashes.SHA512()))}
        other = {"digAlg": "S256", "digVal": url(digest(b"another of the path"))}
        forms = {
            "x5t#S256": url(digest(of)),
            "x5t": url(digest(of, hashes.SHA1())),  # noqa: S303 - the old form is read
            "x5t#o": long,
            "sigX5ts": [long, other],
        }
        return {"x5t#S256": None, form: forms[form]}

    good = verify(hierarchy, compact(signer, **header(jws_signing.der(signer))))
    assert good.clean, only(good).detail
    assert only(good).format == "JAdES-B-B"
    bad = only(verify(hierarchy, compact(signer, **header(b"another certificate"))))
    assert bad.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_the_first_certificate_is_the_signers(hierarchy: Hierarchy, signer: Signer) -> None:
    """RFC 7515 4.1.6: without a digest the place decides, whatever else would fit."""
    other = hierarchy.issuing.signer()
    chain = [*named(other)["x5c"], *named(signer)["x5c"]]
    one = only(verify(hierarchy, compact(signer, **UNNAMED, x5c=chain)))
    assert one.sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_without_a_certificate_nobody_signed(hierarchy: Hierarchy, signer: Signer) -> None:
    """An address (x5u) is not fetched."""
    address: dict[str, Any] = {"x5u": "http://127.0.0.1:1/cert.pem"}
    for more in (address, {}):
        one = only(verify(hierarchy, compact(signer, x5c=None, **more)))
        assert one.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_a_stranger_is_not_trusted(hierarchy: Hierarchy) -> None:
    one = only(verify(hierarchy, compact(Authority("Elsewhere").signer())))
    assert one.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND
