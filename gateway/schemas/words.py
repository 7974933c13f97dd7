"""The words in which schemas are written (JSON Schema 2020-12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]
SCOPES = {
    "sign:hash": "sign digests",
    "sign:document": "sign documents and upload them for jobs",
    "verify": "verify documents",
    "credentials:read": "read credentials",
    "credentials:write": "make, hold, release and revoke credentials",
    "registry:read": "read agencies, subscribers and clients",
    "registry:write": "make agencies, subscribers and clients",
    "audit:read": "read the audit log",
}
"""Scope -> what it is for."""


def text(description: str, **rules: Any) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **rules}


def maybe(description: str, **rules: Any) -> Schema:
    """Return the schema of a text that may be null."""
    return {"type": ["string", "null"], "description": description, **rules}


def words(description: str, options: Iterable[str]) -> Schema:
    """Return the schema of one word of a closed list."""
    return {"type": "string", "enum": list(options), "description": description}


def number(description: str, low: int = 0, high: int | None = None) -> Schema:
    """Return the schema of a whole number."""
    rules = {"minimum": low} if high is None else {"minimum": low, "maximum": high}
    return {"type": "integer", "description": description, **rules}


def maybe_number(description: str) -> Schema:
    """Return the schema of a whole number that may be null."""
    return {"type": ["integer", "null"], "minimum": 0, "description": description}


def decimal(description: str, low: float, high: float) -> Schema:
    """Return the schema of a number."""
    return {"type": "number", "minimum": low, "maximum": high, "description": description}


def flag(description: str) -> Schema:
    """Return the schema of true or false."""
    return {"type": "boolean", "description": description}


def moment(description: str) -> Schema:
    """Return the schema of an RFC 3339 time that may be null."""
    return {"type": ["string", "null"], "format": "date-time", "description": description}


def base64(description: str) -> Schema:
    """Return the schema of binary in standard base64."""
    return {"type": "string", "contentEncoding": "base64", "description": description}


def rows(items: Schema, description: str, **rules: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, "description": description, **rules}


def ref(name: str) -> Schema:
    """Refer to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def asked(required: Iterable[str], **properties: Schema) -> Schema:
    """Return the schema of an object that callers send: other names are refused."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def answered(**properties: Schema) -> Schema:
    """Return the schema of an object that is answered: every member is there, and more may come in later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def listed(name: str, schema: str) -> Schema:
    """Return the schema of one page of a list."""
    token = maybe("Token for the next page; null on the last.")
    return answered(**{name: rows(ref(schema), "Rows in order of making."), "next_page_token": token})
