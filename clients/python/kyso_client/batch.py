"""`kyso batch`: a folder of documents signed, and their signed files in another folder; broken off, it goes on.

What is done is written down in the folder of results: the batch's idempotency key, and which file became which. The
same command again sends only what is missing, under the same key, so that nothing is signed twice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kyso_client.client import KysoClient
from kyso_client.errors import KysoError
from kyso_client.results import BatchOutcome
from kyso_client.settings import SettingsError
from kyso_client.transfer import whole_or_nothing

RECORD = ".kyso-batch.json"
MAX_ITEMS = 100
MAX_BYTES = 200_000_000
MAX_KEY = 200
WAIT_SECONDS = 30.0

Tell = Callable[[str, str], None]
"""Called with a file's name and what became of it."""


class Batch:
    """The files of a folder, and which of them are done."""

    def __init__(self, folder: Path, output: Path, pattern: str, key: str) -> None:
        """Read the record of an earlier run, or begin one; raise SettingsError where the record is another batch's."""
        self.files = sorted(
            path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith(".")
        )
        self._output = output
        output.mkdir(parents=True, exist_ok=True)
        self._record = output / RECORD
        self.done: dict[str, str] = {}
        self.key = key or uuid.uuid4().hex
        if self._record.exists():
            self._read(key)
        else:
            self._write()

    def _read(self, key: str) -> None:
        try:
            document = json.loads(self._record.read_text(encoding="utf-8"))
            self.key, self.done = str(document["idempotency_key"]), dict(document["done"])
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"{self._record} is not a batch's record: {error}") from None
        if key and key != self.key:
            raise SettingsError(f"{self._record} belongs to a batch with another --idempotency-key")

    def _write(self) -> None:
        document = {"idempotency_key": self.key, "done": self.done}
        with whole_or_nothing(self._record) as file:
            file.write(json.dumps(document, ensure_ascii=False, indent=1).encode())

    @property
    def missing(self) -> list[Path]:
        """Files that have no result yet."""
        return [path for path in self.files if path.name not in self.done]

    def run(
        self, kyso: KysoClient, options: dict[str, Any], images: Iterable[Path], tell: Tell
    ) -> list[BatchOutcome]:
        """Sign what is missing and fetch it; return the outcomes of what has no result after that."""
        left: list[BatchOutcome] = []
        for chunk in _chunks(self.missing):
            by_key = {_item_key(path.name): path for path in chunk}
            outcomes = kyso.sign_batch(
                dict(by_key),
                idempotency_key=self.key,
                images=list(images),
                wait_seconds=WAIT_SECONDS,
                **options,
            )
            for outcome in outcomes:
                name = by_key[outcome.key].name
                ended = self._fetch(kyso, outcome, name)
                if ended.state != "signed":
                    left.append(ended)
                tell(
                    name,
                    self.done.get(name) or f"{ended.error_code or ended.state} {ended.error_message}".strip(),
                )
        return left

    def _fetch(self, kyso: KysoClient, outcome: BatchOutcome, name: str) -> BatchOutcome:
        if outcome.operation_id and not outcome.ended:
            try:
                operation = kyso.wait(outcome.operation_id, timeout_seconds=WAIT_SECONDS)
            except TimeoutError:
                return outcome
            outcome = BatchOutcome(
                outcome.key, outcome.operation_id, operation.state, operation.error_code, operation.error_message,
                retryable=False, replayed=outcome.replayed,
            )  # fmt: skip
        if outcome.state != "signed":
            return outcome
        try:
            signed = kyso.fetch_document(outcome.operation_id, self._output, name)
        except KysoError as error:
            return BatchOutcome(
                outcome.key,
                outcome.operation_id,
                "",
                error.code,
                error.message,
                error.retryable,
                outcome.replayed,
            )
        if signed.path is not None:
            self.done[name] = signed.path.name
            self._write()
        return outcome


def _chunks(files: Iterable[Path]) -> Iterator[list[Path]]:
    chunk: list[Path] = []
    size = 0
    for path in files:
        length = path.stat().st_size
        if chunk and (len(chunk) == MAX_ITEMS or size + length > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(path)
        size += length
    if chunk:
        yield chunk


def _item_key(name: str) -> str:
    if (
        len(name) <= MAX_KEY
        and name.isprintable()
        and not set(name) & set('"\\%')
        and name not in {"request", "image"}
    ):
        return name
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
