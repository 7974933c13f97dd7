"""Requests as JSON: as the signer keeps an accepted one, and as a client publishes a job to NATS itself (events.proto)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from services.kernel.errors import Base64Invalid, FieldInvalid, JsonInvalid
from services.kernel.values import Digest, DigestAlgorithm, SignatureScheme
from services.signer.domain import Declaration, DocumentRequest, HashRequest, SecrecyLabel, content_sha256
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import PACKAGINGS, Envelope, Level

MAX_JOB_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class SigningJob:
    """A job of the work queue (SigningJob in events.proto), read but not yet believed."""

    operation_id: str
    job_id: str
    access_token: str
    upload_id: str
    fields: dict[str, Any]

    @property
    def is_document(self) -> bool:
        """Whether an upload is to be signed, and not digests."""
        return bool(self.upload_id)

    @property
    def idempotency_key(self) -> str:
        """The client's key for at-most-once, as it came."""
        return _text(self.fields, "idempotency_key")

    def hash_request(self) -> HashRequest:
        """Read a job with digests; raise what is wrong with it."""
        digests = self.fields.get("digests", [])
        if not isinstance(digests, list):
            raise FieldInvalid("digests must be a list", field="digests")
        return HashRequest(
            credential_id=_text(self.fields, "credential_id"),
            idempotency_key=_text(self.fields, "idempotency_key"),
            digest_algorithm=DigestAlgorithm.parse(_text(self.fields, "digest_algorithm")),
            scheme=_scheme(self.fields),
            digests=tuple(_base64(item) for item in digests),
            declaration=_declaration(self.fields),
        )

    def document_request(self, file_name: str) -> DocumentRequest:
        """Read a job with an upload; raise what is wrong with it."""
        return DocumentRequest(
            credential_id=_text(self.fields, "credential_id"),
            idempotency_key=_text(self.fields, "idempotency_key"),
            envelope=_envelope(self.fields),
            digest_algorithm=DigestAlgorithm.parse(_text(self.fields, "digest_algorithm")),
            scheme=_scheme(self.fields),
            declaration=_declaration(self.fields),
            file_name=file_name,
        )


def read_job(data: bytes) -> SigningJob:
    """Read a job; raise JsonInvalid or FieldInvalid."""
    if len(data) > MAX_JOB_BYTES:
        raise JsonInvalid(f"a job has at most {MAX_JOB_BYTES} bytes")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise JsonInvalid("the job is not JSON") from None
    if not isinstance(fields, dict):
        raise JsonInvalid("the job is not a JSON object")
    return SigningJob(
        operation_id=_text(fields, "operation_id"),
        job_id=_text(fields, "job_id")[:64],
        access_token=_text(fields, "access_token"),
        upload_id=_text(fields, "upload_id"),
        fields=fields,
    )


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request as its job's row keeps it, and the files that lie one after the other in its payload."""

    request: DocumentRequest
    files: tuple[tuple[FileStart, int], ...]
    """Each file with its size in bytes."""

    def content_sha256(self, payload_sha256: bytes) -> bytes:
        """SHA-256 that names the content, of a payload's SHA-256."""
        return content_sha256(payload_sha256, self.files, self.request.content_digest)

    @property
    def first(self) -> FileStart | None:
        """The beginning of the first file."""
        return self.files[0][0] if self.files else None


def accepted_to_json(accepted: Accepted) -> str:
    """Write an accepted request for its job's row."""
    request, digest = accepted.request, accepted.request.content_digest
    return json.dumps(
        {
            "credential_id": request.credential_id,
            "idempotency_key": request.idempotency_key,
            "envelope": request.envelope.to_json(),
            "content_digest": [digest.algorithm.label, digest.value.hex()] if digest else None,
            "files": [[one.role.value, one.name, one.media_type, size] for one, size in accepted.files],
            "digest_algorithm": request.digest_algorithm.label,
            "scheme": request.scheme.label if request.scheme else "",
            "document_type": request.declaration.document_type,
            "label": request.declaration.label.value if request.declaration.label else "",
            "reference": request.declaration.reference,
            "file_name": request.file_name,
        },
        ensure_ascii=False,
    )


def accepted_from_json(text: str) -> Accepted:
    """Undo `accepted_to_json`."""
    fields = json.loads(text)
    digest = fields["content_digest"]
    request = DocumentRequest(
        credential_id=fields["credential_id"],
        idempotency_key=fields["idempotency_key"],
        envelope=Envelope.from_json(fields["envelope"]),
        digest_algorithm=DigestAlgorithm.parse(fields["digest_algorithm"]),
        scheme=_scheme(fields),
        declaration=_declaration(fields),
        file_name=fields["file_name"],
        content_digest=Digest(DigestAlgorithm.parse(digest[0]), bytes.fromhex(digest[1])) if digest else None,
    )
    files = tuple((FileStart(Role(role), name, kind), size) for role, name, kind, size in fields["files"])
    return Accepted(request, files)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise FieldInvalid(f"{name} must be text", field=name)
    if not value.isprintable():
        # Half of a surrogate pair cannot be encoded, and a NUL cannot be looked up in PostgreSQL.
        raise FieldInvalid(f"{name} must have no control characters", field=name)
    return value


def _scheme(fields: dict[str, Any]) -> SignatureScheme | None:
    label = _text(fields, "scheme")
    return SignatureScheme.parse(label) if label else None


def _envelope(fields: dict[str, Any]) -> Envelope:
    names = {name.lower(): name for name in PACKAGINGS}
    name = names.get(_text(fields, "format"))
    if name is None:
        raise FieldInvalid(f"format must be one of {', '.join(names)}", field="format")
    try:
        level = Level(_text(fields, "level") or Level.B_B.value)
    except ValueError:
        raise FieldInvalid("level must be B-B, B-T, B-LT or B-LTA", field="level") from None
    packagings = {one.lower(): one for one in PACKAGINGS[name]}
    packaging = _text(fields, "packaging")
    if packaging and packaging not in packagings:
        raise FieldInvalid(f"packaging must be {' or '.join(packagings)}", field="packaging")
    return Envelope(name, level, packagings.get(packaging))


def _declaration(fields: dict[str, Any]) -> Declaration:
    label = _text(fields, "label")
    try:
        declared = SecrecyLabel(label) if label else None
    except ValueError:
        raise FieldInvalid('label must be "none", "mat", "toi_mat" or "tuyet_mat"', field="label") from None
    return Declaration(_text(fields, "document_type"), declared, _text(fields, "reference"))


def _base64(item: object) -> bytes:
    if not isinstance(item, str):
        raise Base64Invalid("each digest must be base64 text", field="digests")
    try:
        return base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError):
        raise Base64Invalid("a digest is not standard base64", field="digests") from None
