"""The command that works alone: exit statuses, the JSON line, limits, and what it does not load."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.verifier import algorithm_policy
from services.verifier.x509.anchors import AnchorTerms
from tests.support.pdfs import one_page_pdf
from tests.unit.verifier.authority import Authority, Hierarchy

NOW = datetime.now(UTC)
VALID: dict[str, Any] = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=1)}


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """A hierarchy that is valid now: the command has no other clock."""
    root = Authority("Root CA", **VALID)
    issuing = Authority("Issuing CA", root, path_length=0, **VALID)
    return Hierarchy(root, issuing, issuing.signer(**VALID))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, hierarchy: Hierarchy) -> Path:
    """Files to check and to trust."""
    path = tmp_path_factory.mktemp("check")
    (path / "signed.pdf").write_bytes(hierarchy.signer.pdf())
    (path / "plain.pdf").write_bytes(one_page_pdf())
    (path / "broken.pdf").write_bytes(hierarchy.signer.pdf().replace(b"Kyso", b"Kyxo"))
    (path / "damaged.pdf").write_bytes(b"%PDF-1.7\n")
    (path / "other.txt").write_bytes(b"just text")
    (path / "content").write_bytes(b"content")
    (path / "content.p7s").write_bytes(hierarchy.signer.cms(b"content", detached=True))
    (path / "root.der").write_bytes(hierarchy.root.der)
    (path / "ca.der").write_bytes(hierarchy.issuing.der)
    fresh: dict[str, Any] = {"this_update": NOW - timedelta(hours=1), "next_update": NOW + timedelta(hours=1)}
    (path / "list.json").write_text(json.dumps(trust_list(hierarchy.root.der, None)), "utf-8")
    (path / "ended.json").write_text(json.dumps(trust_list(hierarchy.root.der, NOW)), "utf-8")
    policy = algorithm_policy.SHIPPED.read_text("utf-8")
    # Without elliptic curves, which sign here.
    (path / "policy.toml").write_text(policy.replace('"ECDSA", "ECDSA-plain"', '"ECDSA-plain"'), "utf-8")
    (path / "root.crl").write_bytes(hierarchy.root.crl(**fresh))
    (path / "ca.crl").write_bytes(hierarchy.issuing.crl(**fresh))
    return path


def trust_list(anchor: bytes, until: datetime | None) -> dict[str, Any]:
    """A list with one anchor, as the command trust-list writes it."""
    terms = AnchorTerms(hashlib.sha256(anchor).hexdigest(), "public", None, until)
    listed = terms.fields() | {"certificate": base64.b64encode(anchor).decode(), "name": "Service"}
    return {"kind": "kyso-trust-list", "anchors": [listed]}


def check(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command with --json; return exit status and answer."""
    command = [sys.executable, "-W", "error", "-m", "services.verifier", "check", "--json"]
    paths = [str(folder / a) if (folder / a).exists() else a for a in arguments]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return done.returncode, answer


SCORE = Path(__file__).parents[2] / "conformance" / "score.sh"
DIGEST = f"SHA-256:{base64.b64encode(hashlib.sha256(b'content').digest()).decode()}"
OTHER_DIGEST = f"sha256:{base64.b64encode(hashlib.sha256(b'other').digest()).decode()}"
TRUST = ("--anchor", "root.der", "--intermediate", "ca.der", "--crl", "root.crl", "--crl", "ca.crl")


@pytest.mark.parametrize(
    ("arguments", "status", "verdict"),
    [
        (("signed.pdf", *TRUST), 0, "valid"),
        (("signed.pdf", "--trust-list", "list.json", *TRUST[2:]), 0, "valid"),
        (("signed.pdf", "--trust-list", "ended.json", *TRUST[2:]), 2, "indeterminate"),
        (("signed.pdf", "--trust-list", "ended.json", *TRUST), 0, "valid"),
        (("signed.pdf", "--algorithms", "policy.toml", *TRUST), 2, "indeterminate"),
        (("signed.pdf", "--integrity"), 0, "valid"),
        (("signed.pdf",), 2, "indeterminate"),
        (("signed.pdf", *TRUST[:4]), 2, "indeterminate"),
        (("broken.pdf", *TRUST), 1, "invalid"),
        (("broken.pdf", "--integrity"), 1, "invalid"),
        (("plain.pdf", "--integrity"), 4, "unsigned"),
        (("damaged.pdf", "--integrity"), 3, "malformed"),
        (("other.txt", "--integrity"), 2, "indeterminate"),
        (("content.p7s", "--detached", "content", *TRUST), 0, "valid"),
        (("content.p7s", "--detached", "other.txt", *TRUST), 1, "invalid"),
        (("content.p7s", *TRUST), 2, "indeterminate"),
        (("content.p7s", "--detached-digest", DIGEST, *TRUST), 0, "valid"),
        (("content.p7s", "--detached-digest", OTHER_DIGEST, *TRUST), 1, "invalid"),
        (("signed.pdf", "--timeout", "0.000001"), 2, "indeterminate"),
    ],
)
def test_verdict_and_exit_status_agree(
    folder: Path, arguments: tuple[str, ...], status: int, verdict: str
) -> None:
    code, answer = check(folder, *arguments)
    assert (code, answer["verdict"]) == (status, verdict)
    assert answer["clean"] is (verdict == "valid")
    assert answer["sentence"]["vi"]


def test_a_person_reads_both_languages(folder: Path) -> None:
    command = [sys.executable, "-m", "services.verifier", "check", str(folder / "signed.pdf"), "--integrity"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Chữ ký nguyên vẹn" in done.stdout
    assert "MST: 0106793535" in done.stdout
    assert "The signature is intact" in done.stdout


def test_a_missing_file_is_a_clear_message(folder: Path) -> None:
    command = [sys.executable, "-m", "services.verifier", "check", str(folder / "nowhere.pdf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert "nowhere.pdf" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("option", "said"), [("--trust-list", "no trust list"), ("--algorithms", "no TOML")])
def test_a_file_of_another_kind_is_a_clear_message(folder: Path, option: str, said: str) -> None:
    files = [str(folder / "signed.pdf"), option, str(folder / "root.der")]
    command = [sys.executable, "-m", "services.verifier", "check", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_conformance_script_judges_by_the_digest_of_a_record(folder: Path) -> None:
    command = ["sh", str(SCORE), "judge", str(folder / "content.p7s")]
    for content, verdict in ((b"content", "valid"), (b"other", "invalid")):
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        record = {"file": "content.p7s", "detached": [{"digest_alg": "SHA256", "digest_b64": digest}]}
        done = subprocess.run(
            command,
            input=json.dumps(record),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHON": sys.executable},
        )
        assert json.loads(done.stdout)["verdict"] == verdict, done.stderr


def test_a_digest_that_is_none_is_a_clear_message(folder: Path) -> None:
    files = [str(folder / "content.p7s"), "--detached-digest", "SHA-512:" + DIGEST.partition(":")[2]]
    command = [sys.executable, "-m", "services.verifier", "check", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert "32 octets are not a digest by SHA-512" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_documents_the_exit_statuses() -> None:
    command = [sys.executable, "-m", "services.verifier", "check", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "exit status" in done.stdout
    assert "not signed" in done.stdout


def test_the_command_loads_no_platform(folder: Path) -> None:
    code = (
        "import sys; from services.verifier.commands.check import main; "
        f"main([{str(folder / 'signed.pdf')!r}, '--integrity', '--json']); "
        "print(sorted({'grpc', 'nats', 'sqlalchemy', 'pkcs11', 'structlog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
