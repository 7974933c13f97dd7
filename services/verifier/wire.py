"""What the service and its worker processes say to each other over a pipe: frames of one kind octet and a length."""

from __future__ import annotations

import base64
import json
import struct
from datetime import datetime
from typing import Any

from services.verifier.ports import TrustMaterial

HEADER = struct.Struct(">cI")
TRUST, START, DOCUMENT, DETACHED, END = b"T", b"S", b"D", b"C", b"E"
CHUNK_BYTES = 256 * 1024
MAX_REPORT_BYTES = 64 * 1024 * 1024


def frame(kind: bytes, body: bytes | memoryview = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(body)) + bytes(body)


def trust(material: TrustMaterial) -> bytes:
    """Frame that gives a worker the trust material; it keeps it for the documents to come."""
    body = {
        "anchors": _texts(material.anchors),
        "intermediates": _texts(material.intermediates),
        "crls": _texts(material.crls),
        "sha1_links": material.sha1_links,
        "sha1_cutoff": None if material.sha1_cutoff is None else material.sha1_cutoff.isoformat(),
    }
    return frame(TRUST, json.dumps(body).encode("ascii"))


def read_trust(body: bytes) -> TrustMaterial:
    """Trust material out of a frame's body."""
    fields = json.loads(body)
    return TrustMaterial(
        tuple(map(base64.b64decode, fields["anchors"])),
        tuple(map(base64.b64decode, fields["intermediates"])),
        tuple(map(base64.b64decode, fields["crls"])),
        tuple(fields["sha1_links"]),
        None if fields["sha1_cutoff"] is None else datetime.fromisoformat(fields["sha1_cutoff"]),
    )


def start(at: datetime, *, integrity_only: bool, detached: bool) -> bytes:
    """Frame that announces a document."""
    body = {"at": at.isoformat(), "integrity_only": integrity_only, "detached": detached}
    return frame(START, json.dumps(body).encode("ascii"))


def read_start(body: bytes) -> tuple[datetime, bool, bool]:
    """Time of validation, integrity only, detached content follows."""
    fields: dict[str, Any] = json.loads(body)
    return datetime.fromisoformat(fields["at"]), bool(fields["integrity_only"]), bool(fields["detached"])


def _texts(values: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(value).decode("ascii") for value in values]
