"""No mutation of what a JSON signature of the signer protects comes out passed and clean."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding

from services.signer.formats.parameters import Level
from services.verifier.domain import SubIndication
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signer
from tests.support.own_jades import (
    CONTENT,
    NAME,
    PACKAGINGS,
    add,
    make,
    sign,
    url,
    verify,
)
from tests.support.time_world import START, days

MUTATIONS = 150
"""Of each part of each form."""


def flipped(octets: bytes, chance: random.Random) -> bytes:
    """One bit is another."""
    at = chance.randrange(len(octets))
    return octets[:at] + bytes([octets[at] ^ (1 << chance.randrange(8))]) + octets[at + 1 :]


def _texts(data: bytes) -> list[bytes]:
    """The texts of a file that are signed or are a signature value."""
    if not data.startswith(b"{"):
        return [part for part in data.split(b".") if part]
    file = json.loads(data)
    entries = file.get("signatures", [file])
    texts = [file.get("payload", ""), *(one[name] for one in entries for name in ("protected", "signature"))]
    return [text.encode() for text in texts if text]


FORMS = {
    f"{packaging}-{serialization}": (packaging, serialization)
    for packaging in PACKAGINGS
    for serialization in ("COMPACT", "FLATTENED", "GENERAL")
}


@pytest.mark.parametrize("form", FORMS)
def test_no_bit_of_a_protected_text_is_free(form: str) -> None:
    packaging, serialization = FORMS[form]
    data = sign(packaging, json_serialization=serialization)
    assert verify(data, packaging).clean
    chance = random.Random(form)  # noqa: S311 - no secret; the same mutants again
    for text in _texts(data):
        for _ in range(MUTATIONS):
            mutant = data.replace(text, flipped(text, chance))
            assert not verify(mutant, packaging).clean


def test_no_bit_of_detached_content_is_free() -> None:
    data = sign("DETACHED")
    anchor = authority()[1].public_bytes(Encoding.DER)
    service = VerificationService((JadesFormat(),), TrustMaterial((anchor,), (), (stamping.crl(START),)))
    chance = random.Random(1)  # noqa: S311 - no secret; the same mutants again
    for _ in range(MUTATIONS):
        content = flipped(CONTENT, chance)
        report = service.verify(SubmittedDocument(data, content, {NAME: content}), START)
        assert report.signatures[0].sub_indication is SubIndication.HASH_FAILURE


Change = Callable[[dict[str, Any], dict[str, Any]], None]
MOVES: dict[str, Change] = {
    "payload of another": lambda file, other: file.update(payload=other["payload"]),
    "header of another": lambda file, other: file["signatures"][0].update(
        protected=other["signatures"][0]["protected"]
    ),
    "value of another": lambda file, other: file["signatures"][0].update(
        signature=other["signatures"][0]["signature"]
    ),
    "payload twice": lambda file, other: file["signatures"][0].update(payload=other["payload"]),
    "payload taken out": lambda file, other: file.pop("payload") and None,
    "payload in the header": lambda file, other: file["signatures"][0].update(
        header={"payload": other["payload"]}
    ),
    "a foreign signature more": lambda file, other: file["signatures"].append(other["signatures"][0]),
    "signature outside too": lambda file, other: file.update(signature=file["signatures"][0]["signature"]),
    "header outside too": lambda file, other: file.update(header={"alg": "none"}),
    "algorithm unsigned": lambda file, other: file["signatures"][0].update(header={"alg": "none"}),
    "encoding unsigned": lambda file, other: file["signatures"][0].update(header={"b64": False}),
    "payload as list": lambda file, other: file.update(payload=[file["payload"]]),
    "content beside": lambda file, other: file.update(content=other["payload"]),
}


@pytest.mark.parametrize("move", MOVES)
def test_nothing_can_be_moved(move: str) -> None:
    file = json.loads(sign(json_serialization="GENERAL"))
    other = json.loads(sign(json_serialization="GENERAL"))
    payload = url(b"another content")
    protected = other["signatures"][0]["protected"]
    value = signer().sign(stamping.imprint(f"{protected[:-2]}AA.{payload}".encode()))
    other = {
        "payload": payload,
        "signatures": [{"protected": f"{protected[:-2]}AA", "signature": url(value)}],
    }
    assert verify(json.dumps(file).encode(), "ENVELOPING").clean
    MOVES[move](file, other)
    assert not verify(json.dumps(file).encode(), "ENVELOPING").clean


@pytest.mark.parametrize("name", ["payload", "protected", "signature", "header"])
def test_no_member_stands_twice(name: str) -> None:
    file = json.loads(sign(json_serialization="FLATTENED"))
    text = json.dumps({"header": {}} | file)
    for first, second in ((f'"{name}":', f'"{name}": "eHg", "{name}":'), ("{", f'{{"{name}": {{}}, ')):
        doubled = text.replace(first, second, 1)
        assert not verify(doubled.encode(), "ENVELOPING").clean


def test_signatures_stand_for_themselves() -> None:
    """Neutral by nature: signatures beside each other do not protect each other, and one may be taken out or doubled."""
    first = sign(json_serialization="GENERAL")
    both = json.loads(add(first, "ENVELOPING"))
    entries = both["signatures"]
    for chosen in (entries[:1], entries[1:], entries[::-1], [*entries, entries[0]]):
        report = verify(json.dumps({**both, "signatures": chosen}).encode(), "ENVELOPING")
        assert report.clean
        assert len(report.signatures) == len(chosen)


def _elements(data: bytes) -> list[Any]:
    texts = json.loads(data)["header"]["etsiU"]
    return [json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in texts]


def _stated(data: bytes) -> tuple[bytes, ...]:
    """What the token of the signature's time-stamp says and who says it, as other code reads it."""
    (held,) = (one["sigTst"] for one in _elements(data) if "sigTst" in one)
    message = cms.ContentInfo.load(base64.b64decode(held["tstTokens"][0]["val"]))["content"]
    (signer,) = message["signer_infos"]
    content = message["encap_content_info"]["content"].contents
    return content, signer["signed_attrs"].dump(), signer["signature"].native


def test_no_proof_is_forged_by_a_bit() -> None:
    """Long after the certificate's end the signature stands by its evidence alone: only whole evidence carries it."""
    data = make("ENVELOPING", Level.B_LT)
    assert verify(data, "ENVELOPING", days(10)).clean
    stated, chance = _stated(data), random.Random(2)  # noqa: S311 - no secret; the same mutants again
    texts = [text.encode() for text in json.loads(data)["header"]["etsiU"]]
    fallen = 0
    for _ in range(4 * MUTATIONS):
        text = chance.choice(texts)
        octets = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        mutant = data.replace(text, url(flipped(octets, chance)).encode())
        report = verify(mutant, "ENVELOPING", days(10))
        if report.clean:
            assert _stated(mutant) == stated
        fallen += not report.clean
    assert fallen > MUTATIONS


def test_evidence_of_another_signature_proves_nothing() -> None:
    """Elements moved over from a file that was stamped: the token is over the other value."""
    stamped, bare = json.loads(make("ENVELOPING", Level.B_LT)), json.loads(make("ENVELOPING", Level.B_B))
    other = json.loads(make("DETACHED", Level.B_LT))
    for file in ({**bare, "header": other["header"]}, {**stamped, "header": other["header"]}):
        report = verify(json.dumps(file).encode(), "ENVELOPING", days(10))
        assert not report.clean
        assert report.signatures[0].sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE
