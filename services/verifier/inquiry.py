"""What is asked of a document: for which time it is judged, and what goes back beside the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.verifier.owner import Owner
from services.verifier.reports.words import Language


class Form(StrEnum):
    """Forms of a report for people and for other systems."""

    ETSI = "etsi"
    HTML = "html"
    PDF = "pdf"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One examination. `at` is now; `valid_at` an earlier time that the caller wants the document judged for.

    `evidence` and `originals` are the most bytes of either that go back; 0: none is asked for.
    """

    at: datetime
    valid_at: datetime | None = None
    integrity_only: bool = False
    owner: Owner | None = None
    form: Form | None = None
    language: Language = Language.BOTH
    evidence: int = 0
    originals: int = 0
    file_name: str = ""


class FileKind(StrEnum):
    """What a file of an answer is."""

    REPORT = "report"
    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP_RESPONSE = "ocsp_response"
    TIME_STAMP = "time_stamp"
    ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file that goes back. `name` of an original is the file's own word for it, made safe to show and to store."""

    kind: FileKind
    data: bytes
    media_type: str
    name: str = ""
    signed_by: tuple[str, ...] = ()
