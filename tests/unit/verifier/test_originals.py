"""Originals under names that do no harm, and only those that an intact signature is over."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.verifier import originals
from services.verifier.domain import (
    Coverage,
    CoverageReport,
    DocumentReport,
    Indication,
    Integrity,
    SignatureKind,
    SignatureReport,
    SigningTime,
    Verdict,
)
from services.verifier.examination import Answer
from services.verifier.inquiry import AnswerFile, FileKind, Form, Inquiry
from services.verifier.owner import Owner
from services.verifier.ports import Content
from services.verifier.reports.words import Language
from services.verifier.workers import wire

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def report(**integrities: Integrity) -> DocumentReport:
    """A document with a signature of each integrity."""
    signatures = tuple(
        SignatureReport(
            name=name,
            format="CMS",
            kind=SignatureKind.SIGNATURE,
            indication=Indication.INDETERMINATE,
            sub_indication=None,
            integrity=integrity,
            coverage=CoverageReport(Coverage.WHOLE),
            signing_time=SigningTime(None, NOW),
        )
        for name, integrity in integrities.items()
    )
    return DocumentReport(Verdict.INDETERMINATE, False, signatures, "CMS", 0, "", NOW)


def test_only_what_an_intact_signature_is_over_is_given_out() -> None:
    judged = report(intact=Integrity.INTACT, extended=Integrity.EXTENDED, broken=Integrity.BROKEN)
    contents = [
        Content("a", b"a", ("intact",)),
        Content("b", b"b", ("broken",)),
        Content("c", b"c", ("broken", "extended")),
        Content("d", b"d"),
        Content("e", b"e", ("unknown",)),
    ]
    files, left_out = originals.signed(contents, judged, 100)
    assert [(file.name, file.data, file.signed_by) for file in files] == [
        ("a", b"a", ("intact",)),
        ("c", b"c", ("extended",)),
    ]
    assert left_out == 0


def test_what_has_no_room_is_counted() -> None:
    contents = [Content(str(size), bytes(size), ("s",)) for size in (4, 10, 6, 1)]
    files, left_out = originals.signed(contents, report(s=Integrity.INTACT), 10)
    assert [len(file.data) for file in files] == [4, 6]
    assert left_out == 2
    many = [Content("", b"x", ("s",))] * (originals.MAX_ORIGINALS + 1)
    files, left_out = originals.signed(many, report(s=Integrity.INTACT), 1 << 20)
    assert (len(files), left_out) == (originals.MAX_ORIGINALS, 1)


def test_names_are_told_apart_without_regard_to_case() -> None:
    names = ["Thư.pdf", "thư.PDF", "x/THƯ.pdf", "", "..", "a", "A"]
    files, _ = originals.signed(
        [Content(name, b"%PDF-1.4", ("s",)) for name in names], report(s=Integrity.INTACT), 1000
    )
    assert [file.name for file in files] == [
        "Thư.pdf", "thư (2).PDF", "THƯ (3).pdf", "original-4.pdf", "original-5.pdf", "a", "A (2)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\x.exe", "x.exe"),
        ("a\x00b\n.txt", "ab.txt"),
        ("a\u202efdp.exe", "afdp.exe"),
        (" .hidden. ", "hidden"),
        ('<b>:"|?*.txt', "b.txt"),
        ("...", ""),
        ("a/", ""),
        ("e\u0302\u0301.txt", "ế.txt"),
    ],
)
def test_a_name_is_made_safe(name: str, kept: str) -> None:
    assert originals.safe_name(name) == kept


@given(st.text(max_size=400))
def test_no_name_leaves_its_folder(name: str) -> None:
    kept = originals.safe_name(name)
    assert len(kept.encode("utf-8", "surrogatepass")) <= originals.MAX_NAME_BYTES
    assert not any(unicodedata.category(c)[0] == "C" for c in kept)
    assert kept in {"", PurePosixPath(kept).name}
    assert kept in {"", PureWindowsPath(kept).name}


def test_a_worker_is_asked_all_that_the_service_was() -> None:
    asked = Inquiry(
        NOW, NOW, True, Owner.of(name="An", citizen="012345678901"), Form.PDF, Language.VI, 5, 6, "thư.pdf"
    )
    assert wire.read_start(wire.start(asked)[wire.HEADER.size :]) == asked
    plain = Inquiry(NOW)
    assert wire.read_start(wire.start(plain)[wire.HEADER.size :]) == plain


def test_a_workers_files_are_bounded() -> None:
    answer = Answer({}, [AnswerFile(FileKind.ORIGINAL, b"12345", "text/plain", "a.txt", ("s",))] * 2)
    head, *files = wire.answer(answer)
    assert files == [b"12345"] * 2
    (size, first), _ = wire.read_files(wire_head(head), 10)
    assert (size, first.name, first.signed_by) == (5, "a.txt", ("s",))
    with pytest.raises(ValueError, match="larger"):
        wire.read_files(wire_head(head), 9)
    with pytest.raises(ValueError, match="larger"):
        wire.read_files({"files": [{**wire_head(head)["files"][0], "size": -1}]}, 9)


def wire_head(data: bytes) -> dict[str, Any]:
    """The head of an answer, without its length."""
    head: dict[str, Any] = json.loads(data[4:])
    return head
