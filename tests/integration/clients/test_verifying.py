"""Verification by the SDK and the command: reports, originals, evidence, owner, another time, several contents."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kyso.v1 import verifier_pb2 as messages
from kyso_client import File, KysoClient, KysoError, Owner
from kyso_client.cli import run
from kyso_client.verifying import write_new
from tests.integration.gateway.conftest import Door

CONTENT = b"%PDF-1.7 signed"
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def asked(door: Door) -> messages.VerifyDocumentHeader:
    header = door.services.verifier.header
    assert header is not None
    return header


def output(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_everything_that_can_be_asked_is_asked(kyso: KysoClient, door: Door) -> None:
    owner = Owner(name="Nguyễn Văn An", citizen_id="012345678901")
    report = kyso.verify(
        b"<Signature/>",
        detached=[File(b"1", "một.txt"), File(b"2", "hai.txt")],
        valid_at=AT,
        owner=owner,
        include_evidence=True,
        keep_evidence=True,
        reference="HS-1",
        file_name="chữ ký.xml",
    )
    header = asked(door)
    assert door.services.verifier.contents == {"một.txt": b"1", "hai.txt": b"2"}
    assert header.valid_at.ToDatetime(tzinfo=UTC) == AT
    assert header.owner == messages.DossierOwner(name=owner.name, citizen_id=owner.citizen_id)
    assert (header.file_name, header.evidence_reference) == ("chữ ký.xml", "HS-1")
    assert report.evidence_id == "evd_1"
    assert [(one.kind, len(one.data)) for one in report.evidence] == [("certificate", 4), ("crl", 300_000)]
    assert "evidence" not in report.document


def test_a_report_is_written(kyso: KysoClient, door: Door, tmp_path: Path) -> None:
    told = kyso.verification_report(CONTENT, "html", language="vi")
    assert (told.verdict, told.clean, told.media_type) == ("valid", True, "text/html")
    assert told.content == b"<p>report</p>"
    assert asked(door).report_language == messages.REPORT_LANGUAGE_VI
    file = tmp_path / "report.html"
    kept = kyso.verification_report(CONTENT, "html", output=file, keep_evidence=True)
    assert (file.read_bytes(), kept.content, kept.evidence_id) == (b"<p>report</p>", None, "evd_1")


def test_originals_are_taken_out_and_replace_nothing(kyso: KysoClient, door: Door, tmp_path: Path) -> None:
    door.services.verifier.originals = [("thư.pdf", b"%PDF-original")]
    taken = kyso.extract_originals(CONTENT, tmp_path)
    assert (taken.verdict, taken.paths) == ("valid", (tmp_path / "thư.pdf",))
    assert taken.paths[0].read_bytes() == b"%PDF-original"
    with pytest.raises(FileExistsError):
        kyso.extract_originals(CONTENT, tmp_path)
    door.services.verifier.originals = [("một.txt", bytes(150_000)), ("hai.txt", b"2")]
    taken = kyso.extract_originals(CONTENT, tmp_path)
    assert [(path.name, len(path.read_bytes())) for path in taken.paths] == [
        ("một.txt", 150_000),
        ("hai.txt", 1),
    ]
    door.services.verifier.originals = []
    with pytest.raises(KysoError) as missing:
        kyso.extract_originals(CONTENT, tmp_path)
    assert missing.value.code == "ORIGINAL_MISSING"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("../../x.txt", "x.txt"),
        ("/etc/passwd", "passwd"),
        ("..", "original"),
        ("C:\\a\\b.txt", "b.txt"),
        ("a\u202egpj.exe", "agpj.exe"),
        (".hidden", "hidden"),
        ("", "original"),
    ],
)
def test_a_name_from_outside_stays_in_its_folder(tmp_path: Path, name: str, written: str) -> None:
    assert write_new(tmp_path, name, io.BytesIO(b"x")) == tmp_path / written


def test_kept_evidence_is_read_and_deleted(kyso: KysoClient, door: Door) -> None:
    (row,) = kyso.kept_evidence(reference="HS-1")
    assert (row.id, row.files) == ("evd_1", ())
    assert door.services.evidence.last.reference == "HS-1"
    (file,) = kyso.evidence(row.id).files
    assert hashlib.sha256(kyso.evidence_file(file)).hexdigest() == file.sha256
    kyso.delete_evidence(row.id)
    assert door.services.evidence.deleted[-1] == "evd_1"


def test_the_command_writes_report_originals_and_evidence(
    environment: Path, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    file, report = environment / "letter.pdf", environment / "report.html"
    file.write_bytes(CONTENT)
    command = ["verify", str(file), "--json"]
    assert run([*command, "--report", "html", "-o", str(report), "--at", "2026-03-01T08:00:00Z"]) == 0
    assert output(capsys)["output"] == str(report)
    assert asked(door).valid_at.ToDatetime(tzinfo=UTC) == AT
    door.services.verifier.originals = [("thư.pdf", b"%PDF-original")]
    assert run([*command, "--extract", str(environment / "out")]) == 0
    assert (environment / "out" / "thư.pdf").read_bytes() == b"%PDF-original"
    capsys.readouterr()
    assert run([*command, "--extract", str(environment / "out")]) == 2
    assert output(capsys)["error"]["code"] == "FILE"
    owner = ["--owner-name", "Nguyễn Văn An", "--owner-citizen", "012345678901"]
    keeping = ["--evidence", str(environment / "evidence"), "--keep-evidence", "--reference", "HS-1"]
    assert run([*command, *owner, *keeping]) == 0
    assert output(capsys)["evidence_id"] == "evd_1"
    assert asked(door).owner.citizen_id == "012345678901"
    assert sorted(path.name for path in (environment / "evidence").iterdir()) == [
        "001-certificate.cer",
        "002-crl.crl",
    ]


def test_the_command_shows_and_deletes_evidence(
    environment: Path, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evidence", "--json"]) == 0
    assert output(capsys)["evidence"][0]["id"] == "evd_1"
    assert run(["evidence", "evd_1", "-o", str(environment / "kept"), "--delete", "--json"]) == 0
    shown = output(capsys)
    assert shown["deleted"] is True
    assert (environment / "kept" / "001-crl.crl").stat().st_size == 300_000
    assert door.services.evidence.deleted[-1] == "evd_1"


@pytest.mark.parametrize(
    "wrong",
    [
        ["--report", "pdf"],
        ["-o", "x"],
        ["--extract", "d", "--keep-evidence"],
        ["--evidence", "d", "--report", "pdf", "-o", "x"],
        ["--reference", "HS-1"],
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_sent(
    environment: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    file = environment / "letter.pdf"
    file.write_bytes(CONTENT)
    assert run(["verify", str(file), "--json", *wrong]) == 2
    assert output(capsys)["error"]["code"] == "USAGE"
