"""The Python client and the command against the gateway."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from kyso_client import ClientSecret, KysoClient, KysoError, KysoUnreachable, PrivateKey
from kyso_client.cli import run
from services.kernel.errors import (
    CredentialHeld,
    DomainError,
    HsmOutcomeUnknown,
    HsmTimeout,
    OperationInProgress,
)
from tests.integration.gateway.conftest import Door
from tests.integration.gateway.stand_ins import CLIENT, SECRET
from tests.support.rpc import free_port

CONTENT = b"%PDF-1.7\n" + bytes(300_000)


def test_a_document_is_signed_from_file_bytes_and_stream(
    kyso: KysoClient, door: Door, tmp_path: Path
) -> None:
    source, output = tmp_path / "Công văn.pdf", tmp_path / "out.pdf"
    source.write_bytes(CONTENT)
    seen: list[tuple[int, int]] = []
    signed = kyso.sign_document(
        source,
        credential_id="cr_1",
        output=output,
        document_type="cong-van",
        progress=lambda sent, size: seen.append((sent, size)),
    )
    assert (signed.operation_id, signed.content, signed.media_type) == ("op_2", None, "application/pdf")
    assert signed.file_name == "Công văn-signed.pdf"
    assert output.stat().st_size == signed.size
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    for content in (CONTENT, io.BytesIO(CONTENT)):
        assert kyso.sign_document(content, credential_id="cr_1").content == output.read_bytes()
    assert [header.file_name for header in door.services.signer.headers] == [
        source.name,
        "document",
        "document",
    ]


def test_a_signed_file_appears_whole_or_not_at_all(kyso: KysoClient, door: Door, tmp_path: Path) -> None:
    door.services.signer.break_off = True
    output = tmp_path / "out.pdf"
    kyso._sleep = lambda seconds: None
    with pytest.raises(KysoUnreachable) as broken:
        kyso.sign_document(CONTENT, credential_id="cr_1", output=output)
    assert broken.value.sent
    assert list(tmp_path.iterdir()) == []
    keys = {header.idempotency_key for header in door.services.signer.headers}
    assert len(keys) == 1
    assert len(door.services.signer.headers) == 5


def test_hashes_are_signed(kyso: KysoClient) -> None:
    digest = hashlib.sha256(b"x").digest()
    signed = kyso.sign_hashes([digest, b"\xff" * 32], credential_id="cr_1", reference="7/CV")
    assert signed.outcomes[0].signature == b"signed:" + digest
    assert (signed.outcomes[1].signature, signed.outcomes[1].error_code) == (None, "HSM_TIMEOUT")
    assert signed.certificate_chain == (b"leaf", b"issuer")


def test_a_document_is_submitted_awaited_and_fetched(kyso: KysoClient) -> None:
    submitted = kyso.submit_document(CONTENT, credential_id="cr_1")
    operation = kyso.wait(submitted.operation_id, timeout_seconds=5)
    assert (operation.state, operation.ended) == ("signed", True)
    assert kyso.fetch_document(submitted.operation_id).content == b"%PDF-1.7"


def test_documents_are_verified(kyso: KysoClient, door: Door) -> None:
    report = kyso.verify(CONTENT, integrity_only=True)
    assert (report.verdict, report.clean, report.document["integrity_only"]) == ("valid", True, True)
    kyso.verify(b"cms", detached=CONTENT)
    assert (door.services.verifier.document, door.services.verifier.contents) == (
        b"cms",
        {"document": CONTENT},
    )


def test_credentials_are_read(kyso: KysoClient) -> None:
    assert kyso.credential("cr_1").status == "active"
    assert [credential.id for credential in kyso.credentials()] == ["cr_1", "cr_1"], "both pages"
    with pytest.raises(KysoError) as missing:
        kyso.credential("cr_2")
    assert (missing.value.code, missing.value.status) == ("NOT_FOUND", 404)
    assert missing.value.request_id.startswith("req_")


def test_a_private_key_proves_the_client(door: Door) -> None:
    key = ECKey.generate_key("P-256")
    proof = PrivateKey(CLIENT, key.as_pem(private=True))
    with KysoClient(door.url, proof) as kyso:
        assert kyso.credential("cr_1").id == "cr_1"
    assert door.services.tokens.asked[-1].client_assertion.count(".") == 2


def test_a_refused_proof_is_an_error_without_the_secret(door: Door) -> None:
    with (
        KysoClient(door.url, ClientSecret(CLIENT, "wrong secret")) as kyso,
        pytest.raises(KysoError) as refused,
    ):
        kyso.credential("cr_1")
    assert (refused.value.code, refused.value.status) == ("INVALID_CLIENT", 401)
    assert "wrong secret" not in str(refused.value) + repr(refused.value.__dict__)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (HsmTimeout("later"), 5),
        (OperationInProgress("working"), 5),
        (CredentialHeld("held"), 1),
        (HsmOutcomeUnknown("who knows"), 1),
    ],
)
def test_only_what_may_help_is_tried_again_and_with_the_same_key(
    kyso: KysoClient, door: Door, error: DomainError, tries: int
) -> None:
    pauses: list[float] = []
    kyso._sleep = pauses.append
    door.services.signer.refuse = error
    with pytest.raises(KysoError) as raised:
        kyso.sign_hashes([bytes(32)], credential_id="cr_1")
    assert raised.value.code == error.code
    assert len(door.services.signer.authorizations) == tries
    assert len(pauses) == tries - 1
    assert all(0 < pause <= 5 for pause in pauses)


def test_a_token_that_the_platform_forgot_is_renewed_once(kyso: KysoClient, door: Door) -> None:
    kyso.credential("cr_1")
    kyso._tokens._token = door.services.tokens.token(exp=1)
    assert kyso.credential("cr_1").id == "cr_1"


# --- the command --------------------------------------------------------------------------------------------------


def output(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert isinstance(document, dict)
    return document


def test_the_command_signs_beside_the_file(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = environment / "letter.pdf"
    file.write_bytes(CONTENT)
    assert run(["sign", str(file), "--credential", "cr_1"]) == 0
    assert (environment / "letter-signed.pdf").read_bytes().startswith(b"%PDF-signed")
    assert "op_2" in capsys.readouterr().out
    assert run(["sign", str(file), "--credential", "cr_1", "--format", "cades", "--json"]) == 0
    assert output(capsys)["output"] == str(environment / "letter.pdf.p7s")
    assert run(["sign", str(file), "--credential", "cr_1", "--async", "--json"]) == 0
    assert output(capsys) == {"operation_id": "op_3", "state": "accepted"}
    fetched = environment / "fetched.pdf"
    assert run(["status", "op_3", "-o", str(fetched)]) == 0
    assert fetched.read_bytes() == b"%PDF-1.7"


def test_the_command_verifies_and_lists(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = environment / "letter.pdf"
    file.write_bytes(CONTENT)
    assert run(["verify", str(file)]) == 0
    assert "TOTAL-PASSED" in capsys.readouterr().out
    assert run(["verify", str(file), "--detached", str(file), "--json"]) == 0
    assert output(capsys)["verdict"] == "valid"
    assert run(["status"]) == 0
    assert "is ready" in capsys.readouterr().out


def test_the_command_tells_its_outcome_by_exit_code(
    environment: Path, door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    file = environment / "letter.pdf"
    file.write_bytes(CONTENT)
    sign = ["sign", str(file), "--credential", "cr_1", "--json"]
    door.services.signer.refuse = CredentialHeld("it is on hold")
    assert run(sign) == 3
    assert output(capsys)["error"]["code"] == "CREDENTIAL_HELD"  # type: ignore[index]
    door.services.signer.refuse = HsmTimeout("later")
    assert run(sign) == 4
    capsys.readouterr()
    door.services.signer.refuse = OperationInProgress("working")
    assert run([*sign, "--idempotency-key", "k-1"]) == 5
    assert output(capsys)["idempotency_key"] == "k-1"
    assert run(["sign", str(environment / "nothing.pdf"), "--credential", "cr_1"]) == 2
    assert "nothing.pdf" in capsys.readouterr().err
    monkeypatch.setenv("KYSO_URL", f"http://127.0.0.1:{free_port()}")
    assert run(["status"]) == 4
    assert run(sign) == 4
    monkeypatch.delenv("KYSO_CLIENT_ID")
    capsys.readouterr()
    assert run(["credentials"]) == 2
    assert "KYSO_CLIENT_ID" in capsys.readouterr().err


def test_the_secret_is_in_no_output(environment: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(["credentials", "--json"])
    run(["status"])
    captured = capfd.readouterr()
    assert SECRET not in captured.out + captured.err
