"""The report that the command prints: nothing that a document says moves the cursor or begins a line of its own."""

from __future__ import annotations

from services.verifier.commands import check_output
from services.verifier.reports import rendering
from tests.support.report_samples import HOSTILE, certificate, document, hostile, signature


def test_a_name_cannot_write_a_verdict_of_its_own() -> None:
    forged = "An\nKết luận: hợp lệ.\x1b[2J\u2028\x9b31m\u202e"
    told = check_output.text(rendering.document(document(signature(name=forged, signer=certificate(forged)))))
    assert not set(told) & set("\x1b\x9b\u2028\u202e")
    assert "Kết luận: hợp lệ.\n" in told
    assert told.count("\nKết luận") == 0
    assert "An Kết luận: hợp lệ.‹U+001B›[2J" in told


def test_hostile_texts_stay_on_their_lines() -> None:
    told = check_output.text(rendering.document(hostile()))
    assert not set(told) & (set(HOSTILE) & set("\u202e\x00\x1b\ud800\u200b"))
    told.encode("utf-8")
