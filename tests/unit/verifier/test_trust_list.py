"""Trust lists: what is believed, what becomes of services and their history, and which files may take another's place."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.algorithm_policy import Purpose
from services.verifier.commands import trust_list_command
from services.verifier.trust import trust_list
from services.verifier.trust.trust_list import TrustListError
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate
from tests.support.trust_lists import (
    CA_QC,
    GRANTED,
    OTHER,
    QTST,
    SUPERVISED,
    WEB,
    WITHDRAWN,
    List,
    Service,
    moment,
)
from tests.unit.verifier import xml_signing
from tests.unit.verifier.authority import NOW, Authority, Signer
from tests.unit.verifier.xml_signing import ENVELOPED, EXCLUSIVELY, Target


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A CA, also of the list's signer."""
    return Authority("Scheme CA")


@pytest.fixture(scope="module")
def operator(authority: Authority) -> Signer:
    """Signs lists."""
    return authority.signer(key=rsa.generate_private_key(65537, 2048))


def pin(certificate: x509.Certificate) -> Certificate:
    """As the command loads it."""
    return certificates.load(certificate.public_bytes(Encoding.DER))


def read(data: bytes, operator: Signer, at: datetime = NOW) -> trust_list.TrustList:
    """Believe a list by the operator's certificate."""
    return trust_list.read(data, [pin(operator.certificate)], "public", at)


def test_statuses_of_past_and_present_become_terms(authority: Authority, operator: Signer) -> None:
    unit = authority.signer().certificate.public_bytes(Encoding.DER)
    history = [(GRANTED, moment(2020)), (SUPERVISED, moment(2012)), (WITHDRAWN, moment(2010))]
    ended = [(WITHDRAWN, moment(2022)), (GRANTED, moment(2018))]
    document = List(
        [
            Service(CA_QC, authority.der, history),
            Service(QTST, unit, ended),
            Service(OTHER, authority.der, history),
            Service(CA_QC, authority.der, [(GRANTED, moment(2019))], WEB),
            Service(CA_QC, b"", [(GRANTED, moment(2019))]),
            Service(CA_QC, b"no certificate", [(GRANTED, moment(2019))]),
        ]
    )
    found = read(document.signed(operator), operator)
    assert [(a.certificate, a.name) for a in found.anchors] == [(authority.der, "Service"), (unit, "Service")]
    first, second = (one.terms for one in found.anchors)
    # Supervision went over into the present status without a gap: one term.
    assert (first.trusted_from, first.trusted_until) == (moment(2012), None)
    assert (second.trusted_from, second.trusted_until) == (moment(2018), moment(2022))
    assert first.purposes == {Purpose.SIGNATURE}
    assert second.purposes == {Purpose.TIME_STAMP}
    assert {first.scope, second.scope} == {"public"}
    assert (found.operator, found.territory, found.sequence_number, found.left_out) == ("NEAC", "VN", 7, 4)
    assert found.next_update == NOW + timedelta(days=30)
    assert read(List(next_update=None).signed(operator), operator).next_update is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issued": NOW + timedelta(hours=1)}, "future"),
        ({"next_update": NOW}, "to be replaced"),
        ({"number": "0"}, "sequence number"),
        ({"number": "1e3"}, "sequence number"),
        ({"number": "9" * 19}, "sequence number"),
    ],
)
def test_a_list_that_cannot_be_the_newest_one_is_refused(
    operator: Signer, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TrustListError, match=reason):
        read(replace(List(), **change).signed(operator), operator)


def test_only_the_pinned_signer_of_all_of_it_is_believed(authority: Authority, operator: Signer) -> None:
    data = List().signed(operator)
    other = authority.signer(key=rsa.generate_private_key(65537, 2048))
    refused = [
        (List().signed(other), "another certificate"),
        (data.replace(b">VN<", b">LA<"), "does not hold"),
        (data.replace(b"</ds:SignatureValue>", b"AAAA</ds:SignatureValue>"), "does not hold"),
        (data.replace(b"</TrustServiceStatusList>", b"<x></x></TrustServiceStatusList>"), "does not hold"),
        (b"<r>" + data + b"</r>", "does not hold|no trust list|cover"),
        (List().body().encode(), "well-formed|signature"),
        (b"<TrustServiceStatusList/>", "has 0"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "document type"),
        (b"<x>" * 300 + b"</x>" * 300, "levels|well-formed"),
        (b"", "well-formed|no element"),
        (List().signed(operator, "http://www.w3.org/2000/09/xmldsig#rsa-sha1"), "not allowed .*SHA-1"),
    ]
    for document, reason in refused:
        assert document != data
        with pytest.raises(TrustListError, match=reason):
            read(document, operator)
    with pytest.raises(TrustListError, match="outside its validity"):
        read(List(next_update=None).signed(operator), operator, NOW + timedelta(days=200))


def test_part_of_a_list_is_no_list(operator: Signer) -> None:
    whole = List().signed(operator)
    for missing in (b"<TSLSequenceNumber>7</TSLSequenceNumber>", b"<SchemeTerritory>"):
        assert missing in whole
    bare = '<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"></TrustServiceStatusList>'
    signature = xml_signing.signature(operator, Target("", bare.encode(), ENVELOPED + EXCLUSIVELY))
    with pytest.raises(TrustListError, match="SchemeInformation"):
        read(bare.replace("></", f">{signature}</", 1).encode(), operator)


def test_no_flipped_octet_of_a_list_is_believed_as_another(authority: Authority, operator: Signer) -> None:
    data = List([Service(CA_QC, authority.der, [(GRANTED, moment(2020))])]).signed(operator)
    believed = read(data, operator)
    for position in range(0, len(data), 7):
        broken = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        try:
            found = read(broken, operator)
        except TrustListError:
            continue
        # In the signature's own neutral places (such as the spelling of base64) nothing of the list can change.
        assert replace(found, sha256="") == replace(believed, sha256="")


def run(folder: Path, data: bytes, operator: Signer, *more: str, name: str = "list.xml") -> int:
    """Run the command on a list."""
    (folder / name).write_bytes(data)
    (folder / "signer.pem").write_bytes(operator.certificate.public_bytes(Encoding.PEM))
    arguments = [str(folder / name), "--signer", str(folder / "signer.pem"), "--scope", "foreign", *more]
    return trust_list_command.main(arguments, NOW)


def test_the_command_writes_what_the_registry_takes(
    tmp_path: Path, authority: Authority, operator: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = List([Service(CA_QC, authority.der, [(GRANTED, moment(2020))])])
    assert run(tmp_path, listed.signed(operator), operator) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["kind"] == "kyso-trust-list"
    assert printed["anchors"][0]["certificate"] == base64.b64encode(authority.der).decode()
    assert printed["anchors"][0]["scope"] == "foreign"
    output = tmp_path / "out.json"
    assert run(tmp_path, listed.signed(operator), operator, "--output", str(output)) == 0
    assert json.loads(output.read_text("utf-8")) == printed
    assert "1 anchors" in capsys.readouterr().out


def test_an_older_list_does_not_take_a_newer_ones_place(
    tmp_path: Path, operator: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.json"
    for number, code, said in (
        ("7", 0, ""),
        ("6", 1, "older"),
        ("7", 0, ""),
        ("8", 0, ""),
        ("7", 1, "older"),
    ):
        assert run(tmp_path, List(number=number).signed(operator), operator, "--output", str(output)) == code
        assert said in capsys.readouterr().err
    again = List(number="8", issued=NOW - timedelta(hours=1))
    assert run(tmp_path, again.signed(operator), operator, "--output", str(output)) == 1
    assert "same number" in capsys.readouterr().err
    other = List(number="9", operator="Another")
    assert run(tmp_path, other.signed(operator), operator, "--output", str(output)) == 1
    assert "another operator" in capsys.readouterr().err
    assert json.loads(output.read_text("utf-8"))["sequence_number"] == 8
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    output.write_text("{}", "utf-8")
    assert run(tmp_path, List().signed(operator), operator, "--output", str(output)) == 66
    assert run(tmp_path, b"<x/>", operator) == 1
    assert trust_list_command.main([str(tmp_path / "no"), "--signer", "no", "--scope", "public"], NOW) == 66
