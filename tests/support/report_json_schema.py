"""The published JSON Schema of the verifier's own report, and its answer on what is written from reports."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs" / "verification-report.schema.json"


@cache
def schema() -> dict[str, Any]:
    """The file's content, itself a valid schema."""
    found: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    return found


def complaints(report: dict[str, Any]) -> list[str]:
    """What in a report does not fit: where, and why."""
    errors = Draft202012Validator(schema()).iter_errors(report)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]
