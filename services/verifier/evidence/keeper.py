"""Evidence on its way to the registry, which keeps it for the client whose access token the call carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import DeadlineExceeded, EvidenceNotKept, Overloaded, ServiceUnavailable
from services.verifier.inquiry import AnswerFile, FileKind

CHUNK_BYTES = 256 * 1024
KEEP_SECONDS = 30.0
_KINDS = {
    FileKind.REPORT: registry_pb2.EVIDENCE_FILE_KIND_REPORT,
    FileKind.CERTIFICATE: registry_pb2.EVIDENCE_FILE_KIND_CERTIFICATE,
    FileKind.CRL: registry_pb2.EVIDENCE_FILE_KIND_CRL,
    FileKind.OCSP_RESPONSE: registry_pb2.EVIDENCE_FILE_KIND_OCSP_RESPONSE,
    FileKind.TIME_STAMP: registry_pb2.EVIDENCE_FILE_KIND_TIME_STAMP,
}
"""What the registry keeps."""


@dataclass(frozen=True, slots=True)
class ToKeep:
    """What one verification went by. `report` is in the shape of `rendering.document`."""

    report: dict[str, Any]
    files: tuple[AnswerFile, ...]
    reference: str
    authorization: str
    """The caller's own "Bearer …"."""


class EvidenceKeeper:
    """Has the registry keep evidence. The registry makes its id of what is kept, so that a repetition does no harm."""

    def __init__(self, channel: Any) -> None:
        """`channel` is what `open_channel` gives."""
        self._registry = registry_pb2_grpc.EvidenceServiceStub(channel)

    async def keep(self, what: ToKeep) -> str:
        """Return the id under which it is kept.

        Raises EvidenceNotKept where the registry cannot take it now, and what it refuses it with.
        """
        metadata = (("authorization", what.authorization),)
        try:
            kept = await self._registry.KeepEvidence(_messages(what), timeout=KEEP_SECONDS, metadata=metadata)
        except (ServiceUnavailable, DeadlineExceeded, Overloaded) as error:
            raise EvidenceNotKept(
                "the registry cannot keep the evidence now, so no report is given: try again, or ask without"
                " keep_evidence",
                reason=error.code,
            ) from error
        return str(kept.id)


def outcome_sha256(report: dict[str, Any]) -> bytes:
    """SHA-256 over what was concluded: a second verification that concludes the same keeps nothing new."""
    concluded = [
        report["verdict"],
        report["valid_at"],
        [[s["name"], s["indication"], s["sub_indication"]] for s in report["signatures"]],
    ]
    return hashlib.sha256(json.dumps(concluded).encode("ascii")).digest()


async def _messages(what: ToKeep) -> AsyncIterator[registry_pb2.KeepEvidenceRequest]:
    checked_at = Timestamp()
    checked_at.FromJsonString(what.report["checked_at"])
    yield registry_pb2.KeepEvidenceRequest(
        header=registry_pb2.KeepEvidenceHeader(
            document_sha256=bytes.fromhex(what.report["sha256"]),
            verdict=what.report["verdict"],
            validated_at=checked_at,
            outcome_sha256=outcome_sha256(what.report),
            reference=what.reference,
        )
    )
    written = json.dumps(what.report, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    report = AnswerFile(FileKind.REPORT, written, "application/json")
    for file in (report, *what.files):
        yield registry_pb2.KeepEvidenceRequest(
            file=registry_pb2.EvidenceFile(
                kind=_KINDS[file.kind], sha256=hashlib.sha256(file.data).digest(), size=len(file.data)
            )
        )
        for offset in range(0, len(file.data), CHUNK_BYTES):
            yield registry_pb2.KeepEvidenceRequest(chunk=file.data[offset : offset + CHUNK_BYTES])
