"""JSON and base64url from hostile hands: one text has one meaning, and its size is bounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.verifier.domain import Code, Indication, Verdict
from services.verifier.formats import jws, jws_text
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy, Signer
from tests.unit.verifier.jws_signing import (
    PAYLOAD,
    entry,
    entry_of,
    flattened,
    malformed,
    only,
    refused,
    url,
    verify,
)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def signer(hierarchy: Hierarchy) -> Signer:
    return hierarchy.signer


# --- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"ES256","alg":"ES256"}',
        b'{"alg":"ES256","a\\u006cg":"none"}',
        b'{"alg":"ES256","x":NaN}',
        b'{"alg":"ES256","x":-Infinity}',
        b'{"alg":"ES256","x":1e999}',
        b'{"alg":"ES256","x":' + b"9" * 41 + b"}",
        b'{"alg":"ES256","x":1.' + b"9" * 41 + b"}",
        b'{"alg":"ES256","x":"\\ud800"}',
        b'{"alg":"ES256","x":"\xff"}',
        b'{"alg":"ES256"} {}',
        b'{"alg":"ES256",}',
        b'{"alg":"ES256"]',
        b'["ES256"]',
        b'"ES256"',
        b"",
    ],
)
def test_json_of_more_than_one_meaning_is_refused(
    hierarchy: Hierarchy, signer: Signer, header: bytes
) -> None:
    file = {"payload": url(PAYLOAD), **entry_of(signer.key, header)}
    assert refused(verify(hierarchy, file))
    whole = json.dumps(file).encode().replace(b'{"payload"', b'{"x":' + (header or b"x") + b',"payload"', 1)
    if not header.startswith((b'["', b'"')):
        assert malformed(verify(hierarchy, whole))


@pytest.mark.parametrize("place", ["protected", "payload", "signature"])
def test_base64url_is_written_the_one_right_way(hierarchy: Hierarchy, signer: Signer, place: str) -> None:
    file = flattened(signer, PAYLOAD + b"!" * (-(len(PAYLOAD) + 1) % 3), fill="")
    original = file[place]
    for fill in range(3):
        file = flattened(signer, PAYLOAD + b"!" * fill, fill="x" * fill)
        original = file[place]
        if len(original) % 4:
            break
    assert len(original) % 4, "the test needs bits that decoding drops"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = original[:-1] + alphabet[alphabet.index(original[-1]) ^ 1]
    for changed in (
        twin,
        original + "=",
        original + "==",
        original + "\n",
        f" {original}",
        original + "A" * 5,
    ):
        report = verify(hierarchy, {**file, place: changed})
        assert only(report).indication is Indication.TOTAL_FAILED, changed[-8:]


def test_deep_json_is_a_limit(hierarchy: Hierarchy, signer: Signer) -> None:
    for depth in (33, 10_000):
        nested = b"[" * depth + b"]" * depth
        for data in (
            b'{"signature":' + nested + b"}",
            b'{"signature":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
            json.dumps(
                {"payload": "", **entry_of(signer.key, b'{"alg":"ES256","x":' + nested + b"}")}
            ).encode(),
        ):
            report = verify(hierarchy, data)
            assert report.verdict is Verdict.INDETERMINATE
            assert report.notices[0].code is Code.LIMIT_REACHED


def test_many_values_and_much_work_are_a_limit(hierarchy: Hierarchy, signer: Signer) -> None:
    one = entry(signer)
    for data in (
        b'{"signature":[' + b"0," * jws_text.MAX_VALUES + b"0]}",
        json.dumps({"payload": url(PAYLOAD), "signatures": [one] * (jws.MAX_SIGNATURES + 1)}).encode(),
        json.dumps(flattened(signer, x=[0] * 5001)).encode(),
        # Each signature hashes all that it is over.
        json.dumps({"payload": "A" * (5 << 20), "signatures": [one] * 420}).encode(),
    ):
        report = verify(hierarchy, data)
        assert report.verdict is Verdict.INDETERMINATE
        assert report.notices[0].code is Code.LIMIT_REACHED


@pytest.mark.parametrize("start", [b'{"signature":"', b'{"signature"', b'{"protected":["'])
@pytest.mark.parametrize("filling", [b'"', b'\\"', b"\\", b'""', b"x", b'",', b"}", b'":'])
def test_no_text_is_read_twice(hierarchy: Hierarchy, start: bytes, filling: bytes) -> None:
    """A reader that starts anew at every quote would take the square of the length."""
    report = verify(hierarchy, start + filling * 500_000)
    assert report.verdict in (Verdict.MALFORMED, Verdict.INDETERMINATE)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(payload=5),
        lambda file: file.update(signatures=[dict(file)]),
        lambda file: file.update(signatures=[]),
        lambda file: file.update(signatures={}),
        lambda file: file.update(protected=5),
        lambda file: file.update(signature=None),
        lambda file: file.update(header=[]),
        lambda file: file.update(header="e30"),
        lambda file: file.pop("signature"),
        lambda file: file.pop("protected"),
    ],
)
def test_files_that_are_no_jws_are_malformed(hierarchy: Hierarchy, signer: Signer, change: Change) -> None:
    file = flattened(signer)
    change(file)
    assert malformed(verify(hierarchy, file))


def test_one_bad_entry_does_not_hide_the_others(hierarchy: Hierarchy, signer: Signer) -> None:
    entries = [entry(signer), 5, {"protected": "e30"}, {**entry(signer), "signature": "AAAA"}]
    report = verify(hierarchy, {"payload": url(PAYLOAD), "signatures": entries})
    found = [one.indication for one in report.signatures]
    assert found == [Indication.TOTAL_PASSED] + [Indication.TOTAL_FAILED] * 3
    assert report.verdict is Verdict.INVALID


# --- anything ------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200).map(lambda tail: b"{" + tail),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        ["payload", "protected", "signature", "signatures", "header", "etsiU", "x"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=20,
        ).map(lambda value: json.dumps({"signature": value, "protected": "e30", "header": value}).encode()),
        st.dictionaries(
            st.sampled_from(["alg", "crit", "b64", "x5c", "sigD", "iat", "sigT", "jwk", "x5t#o", "adoTst"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats()
                | st.sampled_from(["ES256", "b64", ""]),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["mId", "pars", "kty", "val"]), inner, max_size=3)
                ),
                max_leaves=8,
            ),
        ).map(lambda header: f"{url(json.dumps(header).encode())}.AAAA.AAAA".encode()),
    )
)
def test_any_input_has_a_typed_outcome(data: bytes) -> None:
    if JadesFormat().recognises(data):
        report = VerificationService((JadesFormat(),), TrustMaterial(), integrity_only=True).verify(
            SubmittedDocument(data, b"x"), NOW
        )
        assert not report.clean
        assert all("inside" not in one.detail for one in report.signatures)
