"""What the service and its worker processes say to each other over a pipe: frames of one kind octet and a length."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from services.verifier.algorithm_policy import AlgorithmPolicy
from services.verifier.examination import Answer
from services.verifier.inquiry import AnswerFile, FileKind, Form, Inquiry
from services.verifier.owner import Owner
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports.words import Language
from services.verifier.x509.anchors import AnchorTerms

HEADER = struct.Struct(">cI")
TRUST, START, DOCUMENT, CONTENT, DETACHED, END = b"T", b"S", b"D", b"N", b"C", b"E"
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
        "ocsps": _texts(material.ocsps),
        "terms": [one.fields() for one in material.terms],
        "algorithms": material.algorithms.fields(),
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
        tuple(map(base64.b64decode, fields["ocsps"])),
        tuple(map(AnchorTerms.of_fields, fields["terms"])),
        AlgorithmPolicy.of_fields(fields["algorithms"]),
    )


def start(inquiry: Inquiry) -> bytes:
    """Frame that announces a document."""
    body = asdict(inquiry) | {"at": inquiry.at.isoformat()}
    if inquiry.valid_at is not None:
        body["valid_at"] = inquiry.valid_at.isoformat()
    return frame(START, json.dumps(body).encode("ascii"))


def read_start(body: bytes) -> Inquiry:
    """What is asked."""
    fields: dict[str, Any] = json.loads(body)
    stated, owner, form = fields["valid_at"], fields["owner"], fields["form"]
    return Inquiry(**fields | {
        "at": datetime.fromisoformat(fields["at"]),
        "valid_at": None if stated is None else datetime.fromisoformat(stated),
        "owner": None if owner is None else Owner(**owner),
        "form": None if form is None else Form(form),
        "language": Language(fields["language"]),
    })  # fmt: skip


def document(submitted: SubmittedDocument) -> Iterator[bytes]:
    """Frames that hand a document over: its bytes, then each detached content behind its name, then the end."""
    yield from _pieces(DOCUMENT, submitted.data)
    contents = submitted.named
    if submitted.detached is not None and submitted.detached not in contents.values():
        contents = {"": submitted.detached, **contents}
    for name, data in contents.items():
        yield frame(CONTENT, name.encode("utf-8"))
        yield from _pieces(DETACHED, data)
    yield frame(END)


def _pieces(kind: bytes, data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    for offset in range(0, len(view), CHUNK_BYTES):
        yield frame(kind, view[offset : offset + CHUNK_BYTES])


def answer(given: Answer) -> Iterator[bytes]:
    """A worker's answer: the length of its head, the head in JSON, then the bytes of its files."""
    head = {
        "report": given.report,
        "files": [
            {
                "kind": file.kind.value,
                "size": len(file.data),
                "media_type": file.media_type,
                "name": file.name,
                "signed_by": file.signed_by,
            }
            for file in given.files
        ],
        "evidence_left_out": given.evidence_left_out,
        "originals_left_out": given.originals_left_out,
        "wanted": _texts(given.wanted),
    }
    data = json.dumps(head, ensure_ascii=False).encode("utf-8")
    yield len(data).to_bytes(4, "big") + data
    for file in given.files:
        yield file.data


def read_files(head: dict[str, Any], limit: int) -> list[tuple[int, AnswerFile]]:
    """Sizes of an answer's files, and the files still without their bytes, as the head announces them.

    Raises ValueError for what no worker of ours says, or more than `limit` bytes.
    """
    files: list[tuple[int, AnswerFile]] = []
    for one in head["files"]:
        size = int(one["size"])
        limit -= size
        if size < 0 or limit < 0:
            raise ValueError("the files of the answer are larger than allowed")
        kind = FileKind(one["kind"])
        signed_by = tuple(map(str, one["signed_by"]))
        files.append((size, AnswerFile(kind, b"", str(one["media_type"]), str(one["name"]), signed_by)))
    return files


def _texts(values: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(value).decode("ascii") for value in values]
