"""Formats, levels, visible signatures, extensions, digests and batches through the Python client and the command."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from kyso.v1 import signer_pb2 as signer
from kyso_client import Anchor, Box, File, KysoClient, PdfOptions, Visible, XmlOptions
from kyso_client.batch import RECORD
from kyso_client.cli import run
from kyso_client.options import as_json
from services.kernel.errors import CredentialHeld
from tests.integration.gateway.conftest import Door

PDF = b"%PDF-1.7 letter"


def test_every_option_reaches_the_signer(kyso: KysoClient, door: Door) -> None:
    visible = Visible(
        "nd30.agency", box=Box(1, 0, 20, 100, 50), image_width_mm=36, image_height_mm=36, lines=("a",)
    )
    signed = kyso.sign_document(
        File(PDF, "thư.pdf"), credential_id="cr_1", level="B-LT", level_rule="lower",
        pdf=PdfOptions("forms", visible), images=[File(b"\x89PNG", "dấu.png")],
    )  # fmt: skip
    assert (signed.level, signed.level_missed, signed.warnings) == ("B-B", "", ())
    (header,) = door.services.signer.headers
    assert MessageToDict(header.pdf.visible) == {
        "profile": "VISIBLE_PROFILE_ND30_AGENCY", "lines": ["a"], "imageWidthMm": 36.0, "imageHeightMm": 36.0,
        "box": {"page": 1, "bottom": 20.0, "width": 100.0, "height": 50.0},
    }  # fmt: skip
    assert header.pdf.certification == signer.PDF_CERTIFICATION_FORMS
    assert [(file.role, file.name) for file in door.services.signer.files[0]] == [
        (signer.PART_ROLE_CONTENT, "thư.pdf"),
        (signer.PART_ROLE_IMAGE, "dấu.png"),
    ]


def test_what_has_no_value_is_not_sent() -> None:
    assert as_json(
        {"a": "", "b": None, "c": b"\0", "pdf": PdfOptions(visible=Visible("free", Box(1, 0, 0, 9, 9)))}
    ) == {
        "c": "AA==",
        "pdf": {
            "visible": {
                "profile": "free",
                "box": {"page": 1, "left": 0, "bottom": 0, "width": 9, "height": 9},
            }
        },
    }
    assert as_json(Anchor("KÝ", 10, 10, offset_y=-6)) == {
        "text": "KÝ",
        "width": 10,
        "height": 10,
        "offset_y": -6,
    }


def test_several_files_and_an_existing_container_are_sent(kyso: KysoClient, door: Door) -> None:
    kyso.sign_document(
        File(b"1", "một.txt"), credential_id="cr_1", format="asic_e", more=[File(b"2", "hai", "text/csv")],
        signature=File(b"PK", "cũ.asice"),
    )  # fmt: skip
    rows = [(file.role, file.name, file.media_type) for file in door.services.signer.files[0]]
    assert rows[:2] == [
        (signer.PART_ROLE_CONTENT, "một.txt", "text/plain"),
        (signer.PART_ROLE_CONTENT, "hai", "text/csv"),
    ]
    assert rows[2][:2] == (signer.PART_ROLE_SIGNATURE, "cũ.asice")
    kyso.sign_document(
        None, credential_id="cr_1", format="cades", cms_relation="counter", signature=File(b"0", "a.p7s")
    )
    assert [file.role for file in door.services.signer.files[1]] == [signer.PART_ROLE_SIGNATURE]
    kyso.sign_document(b"<a/>", credential_id="cr_1", format="xades", xml=XmlOptions(parent="/a"))
    assert door.services.signer.headers[-1].xml.parent == "/a"


def test_a_signed_file_goes_into_a_folder_under_its_name(kyso: KysoClient, tmp_path: Path) -> None:
    signed = kyso.sign_document(File(PDF, "thư.pdf"), credential_id="cr_1", output=tmp_path)
    assert signed.path == tmp_path / "thư-signed.pdf"
    assert signed.path.stat().st_size == signed.size


def test_a_name_that_the_platform_makes_up_replaces_no_other_file(kyso: KysoClient, tmp_path: Path) -> None:
    (tmp_path / "Cong van-signed.pdf").write_text("mine")
    signed = kyso.fetch_document("op_3", tmp_path, "letter.pdf")
    assert signed.path == tmp_path / "letter.pdf.signed"
    assert (tmp_path / "Cong van-signed.pdf").read_text() == "mine"


def test_signatures_are_extended(kyso: KysoClient, door: Door) -> None:
    extended = kyso.extend_document(
        File(b"0", "a.p7s"), level="B-LTA", content=[File(b"x", "a.txt")], reference="7"
    )
    assert extended.level == "B-B"
    (header,) = door.services.signer.extended
    assert (header.level, header.context.reference) == (signer.SIGNATURE_LEVEL_B_LTA, "7")
    assert [file.name for file in door.services.signer.files[0]] == ["a.p7s", "a.txt"]


def test_a_document_that_stays_here_is_prepared_and_completed(kyso: KysoClient, door: Door) -> None:
    prepared = kyso.prepare_document(credential_id="cr_1", format="pades", level="B-T")
    assert (prepared.hashed, prepared.contents_bytes, prepared.digest_algorithm) == (
        "ByteRange",
        8192,
        "SHA-256",
    )
    assert prepared.signing_time is not None
    digest = hashlib.sha256(b"range").digest()
    signed = kyso.complete_document(digest, credential_id="cr_1", format="pades", level="B-T")
    assert signed.content is not None
    assert door.services.signer.headers[0].content_digest == digest
    assert door.services.signer.received == 0


def test_a_batch_has_an_outcome_for_each_document(kyso: KysoClient, door: Door) -> None:
    door.services.signer.refuse_names = {"b.pdf": CredentialHeld("it is on hold")}
    documents = {"a": File(PDF, "a.pdf"), "b": File(PDF, "b.pdf"), "đ": File(PDF, "đ.pdf")}
    outcomes = kyso.sign_batch(
        documents,
        credential_id="cr_1",
        idempotency_key="day",
        items={"đ": {"reference": "9"}},
        wait_seconds=5,
    )
    assert [(one.key, one.state, one.error_code) for one in outcomes] == [
        ("a", "signed", ""),
        ("b", "", "CREDENTIAL_HELD"),
        ("đ", "signed", ""),
    ]
    assert {header.context.reference for header in door.services.signer.headers} == {"", "9"}
    again = kyso.sign_batch({"a": File(PDF, "a.pdf")}, credential_id="cr_1", idempotency_key="day")
    assert (again[0].operation_id, again[0].replayed) == (outcomes[0].operation_id, True)


def test_an_item_of_a_batch_names_its_image(kyso: KysoClient, door: Door) -> None:
    outcomes = kyso.sign_batch(
        {"a": File(PDF, "a.pdf"), "b": File(PDF, "b.pdf")},
        credential_id="cr_1",
        idempotency_key="day",
        images=[File(bytes(600), "one.png"), File(bytes(700), "two.png")],
        items={"a": {"image": "two.png"}, "b": {"image": "one.png"}},
        format="pades",
        pdf=PdfOptions(visible=Visible("nd30.person")),
    )
    assert [one.error_code for one in outcomes] == ["", ""]
    assert [files[1].size for files in door.services.signer.files] == [700, 600]


# --- the command --------------------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_the_command_takes_every_option(
    environment: Path, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    (environment / "thư.pdf").write_bytes(PDF)
    (environment / "dấu.png").write_bytes(b"\x89PNG")
    command = [
        "sign", str(environment / "thư.pdf"), "--credential", "cr_1", "--level", "B-LTA", "--lower-level", "--visible",
        "nd30.agency", "--image", str(environment / "dấu.png"), "--image-mm", "36,36", "--anchor", "KÝ TÊN",
        "--anchor-box", "100,40,0,-5", "--certify", "no_changes", "--json",
    ]  # fmt: skip
    door.services.signer.result.level_missed.code = "EVIDENCE_UNAVAILABLE"
    assert run(command) == 0
    document = printed(capsys)
    assert document["output"] == str(environment / "thư-signed.pdf")
    assert (document["level"], document["level_missed"]) == ("B-B", "EVIDENCE_UNAVAILABLE")
    (header,) = door.services.signer.headers
    assert header.level_options.rule == signer.LEVEL_RULE_LOWER
    assert MessageToDict(header.pdf.visible.anchor) == {
        "text": "KÝ TÊN", "width": 100.0, "height": 40.0, "offsetY": -5.0,
    }  # fmt: skip
    assert run([*command[:-1], "--box", "1,2,3"]) == 2
    assert "--box takes 5 numbers" in capsys.readouterr().err
    assert run(["sign", str(environment / "thư.pdf"), "--credential", "cr_1", "--line", "x"]) == 2
    assert "--visible" in capsys.readouterr().err
    assert run(["sign", "--credential", "cr_1"]) == 2


def test_the_command_signs_several_files_and_extends(
    environment: Path, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.txt", "b.txt"):
        (environment / name).write_text(name)
    files = [str(environment / name) for name in ("a.txt", "b.txt")]
    assert run(["sign", *files, "--credential", "cr_1", "--format", "asic_e", "--asic", "cades"]) == 0
    assert (environment / "a.txt.asice").exists()
    assert [file.name for file in door.services.signer.files[0]] == ["a.txt", "b.txt"]
    capsys.readouterr()
    assert run(["extend", str(environment / "a.txt.asice"), "--level", "B-LTA", "--json"]) == 0
    assert printed(capsys)["output"] == str(environment / "a.txt.asice-extended.pdf")


def test_the_command_signs_a_folder_and_goes_on_after_a_break(
    environment: Path, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1030.pdf", "1031.pdf", "đơn thư.pdf"):
        (environment / name).write_bytes(PDF + name.encode())
    (environment / "notes.txt").write_text("no letter")
    door.services.signer.refuse_names = {"1031.pdf": CredentialHeld("it is on hold")}
    batch = ["batch", str(environment), "--credential", "cr_1", "--json"]
    assert run(batch) == 3
    document = printed(capsys)
    assert (document["files"], sorted(document["signed"])) == (3, ["1030.pdf", "đơn thư.pdf"])
    assert [(row["key"], row["code"]) for row in document["left"]] == [("1031.pdf", "CREDENTIAL_HELD")]
    door.services.signer.refuse_names = {}
    door.services.signer.headers.clear()
    assert run(batch) == 0
    assert [header.file_name for header in door.services.signer.headers] == ["1031.pdf"], (
        "only what was missing"
    )
    again = printed(capsys)
    assert again["idempotency_key"] == document["idempotency_key"]
    results = sorted(path.name for path in (environment / "signed").iterdir())
    assert len(results) == 4
    assert RECORD in results
    assert run(batch) == 0
    assert len(door.services.signer.headers) == 1
    assert run([*batch[:-1], "--idempotency-key", "another"]) == 2
    assert run(["batch", str(environment / "nowhere"), "--credential", "cr_1"]) == 2
