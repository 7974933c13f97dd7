"""The command that answers one record from standard input."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.verifier.authority import NOW, Authority, Hierarchy


def ask(record: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "services.verifier", "check", "--record", *arguments],
        input=record if isinstance(record, str) else json.dumps(record),
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
    return done.returncode, answer


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    """A path of two links with the lists of both authorities, all in files."""
    made = Hierarchy.make()
    leaf = made.signer.certificate.public_bytes(Encoding.DER)
    files = {"leaf": leaf, "root": made.root.der, "ca": made.issuing.der, "root.crl": made.root.crl()}
    (tmp_path / "mail.eml").write_bytes(
        b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(made.signer.cms(b"content"))
    )
    for name, data in (files | {"ca.crl": made.issuing.crl()}).items():
        (tmp_path / name).write_bytes(data)
    return {
        "kind": "path",
        "file": str(tmp_path / "leaf"),
        "trust_anchor": str(tmp_path / "root"),
        "intermediates": [str(tmp_path / "ca")],
        "crls": [str(tmp_path / "root.crl"), str(tmp_path / "ca.crl")],
        "params": {},
        "check_revocation": True,
        "validation_time": NOW.isoformat(),
    }


def test_a_path_is_judged_by_what_its_record_brings(record: dict[str, Any]) -> None:
    status, said = ask(record)
    assert (status, said["verdict"], said["clean"]) == (0, "valid", True)
    changes: tuple[dict[str, Any], ...] = (
        {"crls": record["crls"][:1]},
        {"intermediates": []},
        {"params": {"initial_explicit_policy": True}},
        {"validation_time": "2030-01-01T00:00:00Z"},
    )
    for change in changes:
        status, said = ask(record | change)
        assert (status, said["verdict"], said["clean"]) == (1, "invalid", False)
    assert ask(record | {"crls": [], "check_revocation": False})[1]["verdict"] == "valid"


def test_a_message_takes_its_trust_from_the_command(record: dict[str, Any], tmp_path: Path) -> None:
    mail = {"kind": "smime", "file": str(tmp_path / "mail.eml"), "validation_time": record["validation_time"]}
    lists = tmp_path / "lists"
    lists.mkdir()
    for path in map(Path, record["crls"]):
        path.rename(lists / path.name)
    trust = (
        *("--anchor", record["trust_anchor"], "--intermediate", record["intermediates"][0]),
        *("--crl", str(lists)),
    )
    assert ask(mail, *trust)[1]["verdict"] == "valid"
    assert ask(mail)[1]["verdict"] == "indeterminate"


def test_a_path_in_the_form_of_limbo_is_judged_by_the_profile_and_the_expected_name() -> None:
    root = Authority("Root CA")
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
    name = x509.SubjectAlternativeName([x509.DNSName("a.test")])

    def case(*more: tuple[x509.ExtensionType, bool], expected: str = "a.test") -> dict[str, Any]:
        leaf = root.signer(more=[(name, False), *more]).certificate
        return {
            "testcase": {
                "trusted_certs": [root.certificate.public_bytes(Encoding.PEM).decode()],
                "untrusted_intermediates": [],
                "peer_certificate": leaf.public_bytes(Encoding.PEM).decode(),
                "validation_time": NOW.isoformat(),
                "expected_peer_name": {"kind": "DNS", "value": expected},
                "max_chain_depth": None,
            }
        }

    assert ask(case((identifier, False)))[1]["verdict"] == "valid"
    assert ask(case((identifier, False), expected="b.test"))[1]["verdict"] == "invalid"
    assert "RFC 5280 4.2.1.1" in ask(case())[1]["detail"]


@pytest.mark.parametrize("bad", ["", "[]", "{}", '{"kind": "path"}', '{"kind": "smime", "file": "/no/such"}'])
def test_a_record_that_cannot_be_used_is_said_to_be_so(bad: str) -> None:
    status, said = ask(bad)
    assert status == 66
    assert said["error"].startswith("kyso verifier: ")
