"""Document workers are confined as a process can be here, and where that is required none starts otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.runtime import confinement
from services.kernel.runtime.confinement import Unconfined
from services.signer.documents import documents
from services.signer.documents.documents import DocumentWorkers
from tests.support.confinement import probe


async def test_workers_tell_what_they_gave_up(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("0000")
    given_up, _ = probe(tmp_path / "pin", 9)
    async with DocumentWorkers.open(workers=1) as pool:
        (worker,) = pool._running
        assert worker.given_up == given_up


async def test_where_it_is_required_no_unconfined_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[frozenset[str]] = []

    def refuse(given_up: frozenset[str]) -> None:
        asked.append(given_up)
        confinement.require_confined(given_up - {confinement.FILES})

    monkeypatch.setattr(documents, "require_confined", refuse)
    async with DocumentWorkers.open(workers=1):
        assert not asked
    with pytest.raises(ExceptionGroup) as caught:
        async with DocumentWorkers.open(workers=1, require_confinement=True):
            pass
    assert caught.group_contains(Unconfined, match="files")
    assert len(asked) == 1
