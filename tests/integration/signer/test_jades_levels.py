"""JAdES above B-B: tokens judged by openssl, signatures by jwcrypto, extension of what others made, hostile files."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from jwcrypto import jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto.common import JWSEHeaderParameter

from services.kernel.errors import DocumentDamaged, EvidenceUnavailable, FieldInvalid
from services.kernel.values import DigestAlgorithm, KeyAlgorithm
from services.signer.formats import jades_json
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import (
    Document,
    Evidence,
    EvidenceNeeded,
    Role,
    Signed,
    TimeStampNeeded,
)
from services.signer.formats.jades import Jades
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import TestSigner, signed, signer

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = '{"hồ sơ":"000.00.12.H26-261122-0001"}'.encode()
UNDERSTOOD = {name: JWSEHeaderParameter(name, True, True, None) for name in ("sigD", "x5t#o")}


def compact(who: TestSigner | None = None, content: bytes = CONTENT) -> bytes:
    who = who or signer()
    return signed(Jades(), content, who, who.parameters(form="JADES"))


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unsigned(signature: dict[str, Any]) -> list[tuple[str, Any]]:
    """Read etsiU (TS 119 182-1 section 5.3.1)."""
    elements = signature["header"]["etsiU"]
    values = [json.loads(decoded(one)) if isinstance(one, str) else one for one in elements]
    return [next(iter(value.items())) for value in values]


def verified(finished: bytes, who: TestSigner) -> bytes:
    token = jwcrypto_jws.JWS(header_registry=UNDERSTOOD)
    token.deserialize(finished.decode())
    token.verify(jwk.JWK.from_pyca(who.key.public_key()))
    return bytes(token.payload)


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_the_time_stamp_is_over_the_text_of_the_signature_value(
    digest: DigestAlgorithm, tmp_path: Path
) -> None:
    who = signer()
    made = Signed(Document.of(CONTENT), compact())
    finished = stamping.raise_to(Jades(), made, Level.B_T, digest)
    assert verified(finished, who) == CONTENT
    read = json.loads(finished)
    [(name, container)] = unsigned(read)
    # Section 5.3.4: the imprint is over the base64url text of the signature value; 5.4.3.3: the container.
    token = base64.b64decode(container["tstTokens"][0]["val"])
    imprint = stamping.imprint(read["signature"].encode("ascii"), digest)
    assert (name, stamping.openssl_ts_verify(tmp_path, token, imprint)) == ("sigTst", "")
    other = stamping.imprint(decoded(read["signature"]), digest)
    assert "mismatch" in stamping.openssl_ts_verify(tmp_path, token, other)


def test_long_term_values_are_put_beside_the_time_stamp() -> None:
    who = signer()
    finished = stamping.raise_to(Jades(), Signed(Document.of(CONTENT), compact()), Level.B_LT)
    assert verified(finished, who) == CONTENT
    (_, _), (name, values) = unsigned(json.loads(finished))
    # The CA's certificate lies in x5c already, so there is no xVals; section 5.3.5.4.
    assert (name, values.keys()) == ("rVals", {"crlVals", "ocspVals"})
    assert len(values["crlVals"]) == 1
    assert len(values["ocspVals"]) == 2
    assert Jades().next_need(Signed(Document.of(finished)), Level.B_LT, DigestAlgorithm.SHA256) is None


def test_certificates_that_are_not_in_the_signature_are_put_in() -> None:
    who = signer()
    alone = TestSigner(who.key, who.chain[:1])
    made = Signed(Document.of(CONTENT), compact(alone))
    names = [name for name, _ in unsigned(json.loads(stamping.raise_to(Jades(), made, Level.B_LT)))]
    assert names == ["sigTst", "xVals", "rVals"]


def test_a_compact_signature_of_another_becomes_a_flattened_one() -> None:
    who = signer(KeyAlgorithm.ECDSA_P256)
    token = jwcrypto_jws.JWS(CONTENT)
    header = {
        "alg": "ES256",
        "x5c": [base64.b64encode(one).decode() for one in who.chain],
        "sigT": "2024-01-01T00:00:00Z",
        "crit": ["sigT"],
    }
    token.header_registry["sigT"] = JWSEHeaderParameter("sigT", True, True, None)
    token.add_signature(jwk.JWK.from_pyca(who.key), protected=json.dumps(header))
    finished = stamping.raise_to(
        Jades(), Signed(Document.of(token.serialize(compact=True).encode())), Level.B_LT
    )
    assert json.loads(finished)["payload"] == token.serialize(compact=True).split(".")[1]
    again = jwcrypto_jws.JWS(header_registry={"sigT": JWSEHeaderParameter("sigT", True, True, None)})
    again.deserialize(finished.decode())
    again.verify(jwk.JWK.from_pyca(who.key.public_key()))


def test_clear_components_are_joined_by_clear_ones() -> None:
    flattened = json.loads(stamping.raise_to(Jades(), Signed(Document.of(CONTENT), compact()), Level.B_T))
    flattened["header"]["etsiU"] = [json.loads(decoded(one)) for one in flattened["header"]["etsiU"]]
    sent = Document.of(json.dumps(flattened).encode())
    read = json.loads(stamping.raise_to(Jades(), Signed(sent), Level.B_LT))
    assert all(isinstance(one, dict) for one in read["header"]["etsiU"])
    assert read["header"]["etsiU"][0] == flattened["header"]["etsiU"][0]


def test_of_several_signatures_only_the_new_one_is_raised_and_all_of_a_file_that_is_extended() -> None:
    first, second = signer(), signer(KeyAlgorithm.RSA_3072, "Trần Thị Kiểm")
    existing = compact(first)
    sent = Document(Document.of(existing).stream, len(existing), role=Role.SIGNATURE)
    parameters = second.parameters(form="JADES", level=Level.B_T)
    prepared = Jades().prepare(sent, parameters)
    both = Jades().complete(sent, parameters, prepared.state, second.sign(prepared.digest))
    raised = json.loads(stamping.raise_to(Jades(), Signed(sent, both), Level.B_LT))
    assert ["header" in one for one in raised["signatures"]] == [False, True]
    extended = json.loads(stamping.raise_to(Jades(), Signed(Document.of(both)), Level.B_LT))
    assert [len(unsigned(one)) for one in extended["signatures"]] == [2, 2]
    with_role = stamping.raise_to(
        Jades(), Signed(Document(Document.of(both).stream, len(both), role=Role.SIGNATURE)), Level.B_T
    )
    assert ["header" in one for one in json.loads(with_role)["signatures"]] == [True, True]


def test_a_detached_signature_is_raised_without_its_content() -> None:
    who = signer()
    content = Document(Document.of(CONTENT).stream, len(CONTENT), "a.json")
    parameters = who.parameters(form="JADES", packaging="DETACHED")
    prepared = Jades().prepare(content, parameters)
    made = Jades().complete(content, parameters, prepared.state, who.sign(prepared.digest))
    read = json.loads(stamping.raise_to(Jades(), Signed(Document.of(made)), Level.B_LT))
    assert "payload" not in read


def test_a_token_over_something_else_is_not_put_in() -> None:
    made = Signed(Document.of(CONTENT), compact())
    need = Jades().next_need(made, Level.B_T, DigestAlgorithm.SHA256)
    assert isinstance(need, TimeStampNeeded)
    with pytest.raises(SelfCheckFailed, match="not over the signature"):
        Jades().add_time_stamp(made, need, stamping.token(bytes(32), DigestAlgorithm.SHA256))


def test_a_level_is_not_reached_without_revocation_values() -> None:
    made = Signed(Document.of(CONTENT), compact())
    made = Signed(made.document, stamping.raise_to(Jades(), made, Level.B_T))
    need = Jades().next_need(made, Level.B_LT, DigestAlgorithm.SHA256)
    assert isinstance(need, EvidenceNeeded)
    assert signer().chain[0] in need.certificates
    assert stamping.time_stamp_unit().certificate in need.certificates
    with pytest.raises(EvidenceUnavailable):
        Jades().add_evidence(made, need, Evidence(certificates=need.certificates))
    with pytest.raises(FieldInvalid, match="up to B-LT"):
        Jades().next_need(made, Level.B_LTA, DigestAlgorithm.SHA256)


def _changed(**members: Any) -> bytes:
    head, payload, value = compact().decode().split(".")
    read = {"payload": payload, "protected": head, "signature": value}
    return json.dumps({name: value for name, value in (read | members).items() if value is not None}).encode()


def _with_header(header: object) -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "neither"),
    "two parts": (b"e30.e30", "three parts"),
    "four parts": (b"e30.e30.e30.e30", "three parts"),
    "no ASCII": ("é.e30.e30".encode(), "ASCII"),
    "not JSON": (b'{"payload":', "not JSON"),
    "not UTF-8": (b'{"payload":"\xff"}', "UTF-8"),
    "a number with too many digits": (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
    "NaN": (b'{"payload":NaN}', "NaN"),
    "a name twice": (b'{"payload":"e30","payload":"e31"}', "twice"),
    "deeper than any signature": (b'{"a":' + b"[" * 30 + b"]" * 30 + b"}", "nests deeper"),
    "deeper than Python goes": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nests deeper"),
    "more values than any signature": (b'{"a":[' + b"1," * 250_000 + b"1]}", "more than 200000 values"),
    "a payload that is no text": (_changed(payload=1), "payload"),
    "no protected header": (_changed(protected=None), "protected and signature"),
    "an empty value": (_changed(signature=""), "base64url"),
    "padding": (_changed(signature="YQ=="), "base64url"),
    "both forms": (_changed(signatures=[{"protected": "e30", "signature": "e30"}]), "both"),
    "no signatures": (json.dumps({"payload": "e30", "signatures": []}).encode(), "1 to 64"),
    "too many signatures": (
        json.dumps({"signatures": [{"protected": "e30", "signature": "e30"}] * 65}).encode(),
        "1 to 64",
    ),
    "a signature that is no object": (json.dumps({"signatures": ["e30"]}).encode(), "not a JSON object"),
    "etsiU that is no array": (_changed(header={"etsiU": "e30"}), "not an array"),
    "etsiU of both forms": (_changed(header={"etsiU": ["e30", {"a": 1}]}), "mixes"),
    "etsiU with two names in one": (_changed(header={"etsiU": [{"a": 1, "b": 2}]}), "one named value"),
    "etsiU that is no base64url": (_changed(header={"etsiU": ["*"]}), "base64url"),
    "a time-stamp without tokens": (_changed(header={"etsiU": [{"sigTst": 1}]}), "no array of values"),
    "a token that is no base64": (
        _changed(header={"etsiU": [{"sigTst": {"tstTokens": [{"val": "*"}]}}]}),
        "no base64",
    ),
    "a token that is no CMS": (
        _changed(header={"etsiU": [{"sigTst": {"tstTokens": [{"val": "AAAA"}]}}]}),
        "cannot be read",
    ),
    "a header that is no object": (_changed(protected=_with_header([])), "not a JSON object"),
    "a header with a name twice": (
        _changed(protected=_with_header(b'{"alg":"RS256","alg":"none"}')),
        "twice",
    ),
    "no certificate": (_changed(protected=_with_header({"alg": "RS256"})), "x5c"),
    "certificates that are none": (
        _changed(protected=_with_header({"alg": "RS256", "x5c": ["AAAA"]})),
        "does not verify",
    ),
    "no algorithm": (
        _changed(
            protected=_with_header({"alg": "none", "x5c": [base64.b64encode(signer().chain[0]).decode()]})
        ),
        "algorithm",
    ),
    "a forged payload": (_changed(payload="e30"), "does not verify"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_the_reason(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(DocumentDamaged, match=reason):
        Jades().next_need(Signed(Document.of(data)), Level.B_LT, DigestAlgorithm.SHA256)


def test_a_file_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(DocumentDamaged, match="at most"):
        jades_json.parse_jws(b"{" + b" " * jades_json.MAX_JWS_BYTES)
