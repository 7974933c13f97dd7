"""The report that `kyso verify` prints: nothing that a document says moves the cursor or begins a line of its own."""

from __future__ import annotations

from typing import Any

from kyso_client.results import Verification
from kyso_client.verify_command import report_text

FORGED = "An\nvalid: Kết luận: hợp lệ.\x1b[2J\u2028\x9b31m\u202e"


def answer(**more: Any) -> dict[str, Any]:
    """An answer in which everything that a document can say is forged."""
    return {
        "verdict": "invalid",
        "clean": False,
        "sentence_vi": "Kết luận: không hợp lệ.",
        "sentence_en": "Conclusion: not valid.",
        "signatures": [
            {
                "name": FORGED,
                "format": FORGED,
                "indication": "TOTAL-FAILED",
                "sub_indication": "HASH_FAILURE",
                "sentence_vi": FORGED,
                "sentence_en": FORGED,
                "signer": {"subject": FORGED},
            }
        ],
        **more,
    }


def test_a_name_cannot_write_a_verdict_of_its_own() -> None:
    told = report_text(Verification.of(answer(inner=[{"name": FORGED, "report": answer()}])))
    assert not set(told) & set("\x1b\x9b\u2028\u202e")
    assert "<U+000A>valid" in told
    assert [line.strip() for line in told.splitlines() if line.strip().startswith("valid")] == []
    assert told.startswith("invalid: Kết luận: không hợp lệ.")
