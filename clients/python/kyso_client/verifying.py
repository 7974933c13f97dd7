"""Verification: reports, originals taken out of signed documents, and evidence that the platform keeps."""

from __future__ import annotations

import os
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Literal, TypedDict, Unpack
from urllib.parse import quote, unquote

import httpx

from kyso_client.connection import Connection
from kyso_client.errors import KysoError
from kyso_client.options import as_json
from kyso_client.results import Evidence, EvidenceFile, Verification
from kyso_client.transfer import OpenPart, Progress, Source, opened, request_parts, whole_or_nothing

Form = Literal["etsi", "html", "pdf"]
Language = Literal["both", "vi", "en"]
FORMS: tuple[Form, ...] = ("etsi", "html", "pdf")
LANGUAGES: tuple[Language, ...] = ("both", "vi", "en")
IN_MEMORY = 8 << 20
"""An archive of originals that is larger waits in a temporary file."""
MAX_ORIGINALS = 10_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a dossier belongs to. Signers are compared by numbers; a name alone decides nothing."""

    name: str = ""
    tax_code: str = ""
    """MST: 10 digits, or 10 digits, "-" and 3 digits."""
    citizen_id: str = ""
    """CCCD, 12 digits, or CMND, 9 digits."""
    passport: str = ""
    code: str = ""
    """Identifier under another prefix, as PREFIX:VALUE."""
    head_office_counts: bool = False
    """A branch may sign for its head office, and the other way round."""


class VerifyOptions(TypedDict, total=False):
    """Keyword arguments of every verification."""

    detached: Source | Sequence[Source] | None
    """Content of a detached signature; several where it names several, found by their file names."""
    integrity_only: bool
    valid_at: datetime | None
    """Judge for this time instead of now; aware."""
    owner: Owner | None
    file_name: str
    progress: Progress | None


class KeepOptions(VerifyOptions, total=False):
    """Those of a verification whose evidence can be kept."""

    keep_evidence: bool
    reference: str
    """The caller's own reference for what is kept, such as a dossier's number."""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report for people or for other systems."""

    verdict: str
    clean: bool
    media_type: str
    content: bytes | None
    """The bytes, unless they went to a file."""
    path: Path | None
    evidence_id: str
    """Empty where nothing was to be kept."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was taken out of a signed document."""

    verdict: str
    clean: bool
    paths: tuple[Path, ...]


class Verifying(Connection):
    """Asks the platform to verify."""

    def verify(
        self, document: Source, *, include_evidence: bool = False, **options: Unpack[KeepOptions]
    ) -> Verification:
        """Judge every signature of a document. With `include_evidence` the report has the evidence used."""
        asked: dict[str, Any] = {"include_evidence": True} if include_evidence else {}
        with self._sent(document, options, asked) as (files, request):

            def send() -> dict[str, Any]:
                return self._json("POST", "/v1/verifications", files=request_parts(request, files))

            return Verification.of(self._again(send))

    def verification_report(
        self,
        document: Source,
        form: Form,
        *,
        language: Language = "both",
        output: Path | None = None,
        **options: Unpack[KeepOptions],
    ) -> WrittenReport:
        """Judge every signature and write the report in this form, to the file `output` or into the result."""
        with self._sent(document, options, {"report": form, "language": language}) as (files, request):

            def send() -> WrittenReport:
                parts = request_parts(request, files)
                with self._stream("POST", "/v1/verifications", "", files=parts) as answer:
                    return _written(answer, output)

            return self._again(send)

    def extract_originals(
        self, document: Source, folder: Path, **options: Unpack[VerifyOptions]
    ) -> Extraction:
        """Take the documents that were signed out of a signed document, into files of a folder.

        Only what an intact signature is over is given out; the verdict says whether it also is valid. Raises
        FileExistsError where a file of that name is there: nothing is ever replaced.
        """
        with self._sent(document, options, {}) as (files, request):

            def send() -> Extraction:
                parts = request_parts(request, files)
                with self._stream("POST", "/v1/documents:extract", "", files=parts) as answer:
                    return _extracted(answer, folder)

            return self._again(send)

    @contextmanager
    def _sent(
        self, document: Source, options: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> Iterator[tuple[list[OpenPart], dict[str, Any]]]:
        detached = options.get("detached")
        if detached is None:
            contents: Iterable[Source] = ()
        else:
            contents = detached if isinstance(detached, list | tuple) else (detached,)
        request = dict(asked)
        for name in ("integrity_only", "keep_evidence"):
            if options.get(name):
                request[name] = True
        valid_at, owner = options.get("valid_at"), options.get("owner")
        if valid_at is not None:
            request["valid_at"] = valid_at.isoformat()
        if owner is not None:
            request["owner"] = as_json(owner)
        if options.get("reference"):
            request["reference"] = options["reference"]
        sources: list[tuple[str, Source]] = [
            ("document", document),
            *(("detached", one) for one in contents),
        ]
        with opened(sources, options.get("progress"), options.get("file_name", "")) as files:
            yield files, request

    def kept_evidence(self, *, document_sha256: str = "", reference: str = "") -> Iterator[Evidence]:
        """Yield the evidence that the client's agency keeps; its files only by `evidence`."""
        wanted = {"document_sha256": document_sha256, "reference": reference, "page_size": "200"}
        wanted = {key: value for key, value in wanted.items() if value}
        for page in self._pages("/v1/evidence", wanted):
            yield from (Evidence.of(row) for row in page["evidence"])

    def evidence(self, evidence_id: str) -> Evidence:
        """Answer what is kept under an id."""
        path = f"/v1/evidence/{quote(evidence_id, safe='')}"
        return Evidence.of(self._again(lambda: self._json("GET", path)))

    def evidence_file(self, file: EvidenceFile) -> bytes:
        """Fetch one kept file."""

        def send() -> bytes:
            with self._stream("GET", file.url, "") as answer:
                return answer.read()

        return self._again(send)

    def delete_evidence(self, evidence_id: str) -> None:
        """Delete what is kept, for good."""

        def send() -> None:
            with self._stream("DELETE", f"/v1/evidence/{quote(evidence_id, safe='')}", ""):
                return

        self._again(send)


def _verdict(answer: httpx.Response) -> tuple[str, bool]:
    return answer.headers.get("x-kyso-verdict", ""), answer.headers.get("x-kyso-clean", "") == "true"


def _written(answer: httpx.Response, output: Path | None) -> WrittenReport:
    verdict, clean = _verdict(answer)
    content: bytes | None = None
    if output is None:
        content = answer.read()
    else:
        with whole_or_nothing(output) as file:
            for piece in answer.iter_bytes():
                file.write(piece)
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    return WrittenReport(
        verdict, clean, media_type, content, output, answer.headers.get("x-kyso-evidence-id", "")
    )


def _extracted(answer: httpx.Response, folder: Path) -> Extraction:
    verdict, clean = _verdict(answer)
    with SpooledTemporaryFile(IN_MEMORY) as waiting:
        for piece in answer.iter_bytes():
            waiting.write(piece)
        waiting.seek(0)
        if answer.headers.get("x-kyso-originals", "1") == "1":
            paths = [write_new(folder, _proposed(answer), waiting)]
        else:
            with zipfile.ZipFile(waiting) as archive:
                members = archive.infolist()
                if len(members) > MAX_ORIGINALS:
                    raise KysoError("HTTP_ERROR", 200, "the archive has too many members")
                paths = [_unpacked(archive, member, folder) for member in members]
    return Extraction(verdict, clean, tuple(paths))


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path:
    if member.compress_type != zipfile.ZIP_STORED:
        # The platform never compresses: what does is no archive of its own.
        raise KysoError("HTTP_ERROR", 200, "the archive is not the platform's")
    with archive.open(member) as content:
        return write_new(folder, member.filename, content)


def _proposed(answer: httpx.Response) -> str:
    _, _, name = answer.headers.get("content-disposition", "").partition("filename*=UTF-8''")
    return unquote(name.partition(";")[0])


def write_new(folder: Path, name: str, content: IO[bytes] | BytesIO) -> Path:
    """Write a new file of a folder under the harmless part of a name; raise FileExistsError where it is there."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip(" .")
    path = folder / (kept[:120] or "original")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        while piece := content.read(1 << 20):
            file.write(piece)
    return path
