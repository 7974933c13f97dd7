"""Documents made to exhaust a parser, or to make it ask somebody, end in a typed report in a worker process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.verifier.config import LimitSettings
from services.verifier.domain import Verdict
from services.verifier.workers.pool import WorkerPool
from tests.support import bombs, own_documents

LIMIT_SECONDS = 10
RESIDENT_KIB = 1 << 20
ROOMY = {Verdict.MALFORMED, Verdict.INDETERMINATE, Verdict.INVALID, Verdict.UNSIGNED}


@dataclass
class Ear:
    """An address that nobody may ask, and how often somebody did."""

    url: str
    asked: int = 0


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    """Listens on the loopback."""
    heard = Ear("")

    async def hear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.asked += 1
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        heard.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield heard


@pytest.mark.parametrize("name", bombs.BOMBS)
async def test_a_bomb_is_refused_within_its_limits(name: str, ear: Ear) -> None:
    document = bombs.document(name, ear.url)
    limits = LimitSettings(workers=1, timeout_seconds=LIMIT_SECONDS)
    now = datetime.now(UTC)
    async with WorkerPool.open(limits) as pool:
        (worker,) = pool._workers
        trust = own_documents.trust(now)
        report = await pool.judge(document, trust, now, integrity_only=False)
        if worker.process.returncode is None:
            status = Path(f"/proc/{worker.process.pid}/status").read_text()
            peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            assert peak < RESIDENT_KIB
        assert Verdict(report["verdict"]) in ROOMY
        assert not report["clean"]
        assert pool.lost == 0, "it took longer than its time, or more than its memory"
    assert ear.asked == 0


ASKING = (
    "outer_entity",
    "parameter_entity",
    "style_sheet",
    "include",
    "outer_reference",
    "xslt",
    "key_by_url",
)


@pytest.mark.parametrize("name", ASKING)
async def test_the_command_alone_asks_nobody(name: str, ear: Ear, tmp_path: Path) -> None:
    """Without the confinement of a worker: what does not ask, need not be held back."""
    file = tmp_path / "document"
    file.write_bytes(bombs.document(name, ear.url).data)
    command = [sys.executable, "-m", "services.verifier", "check", "--json", str(file)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=60)
    assert done.returncode in {1, 2, 3, 4}, done.stderr.decode()
    assert ear.asked == 0


async def test_without_a_route_the_answer_is_the_same(ear: Ear, tmp_path: Path) -> None:
    """In a network namespace of its own, where there is one to be had, no verdict changes."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = [unshare, "-rn", "true"]
    probe = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=60)
    prefix = [unshare, "-rn"] if probe.returncode == 0 else ["env", "-i", f"PATH={os.environ['PATH']}"]
    for name in ASKING:
        file = tmp_path / name
        file.write_bytes(bombs.document(name, ear.url).data)
        answers = []
        for before in ([], prefix):
            command = [*before, sys.executable, "-m", "services.verifier", "check", str(file)]
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, check=False, timeout=60, cwd=Path.cwd()
            )
            answers.append((done.returncode, done.stdout))
        assert answers[0] == answers[1]
    assert ear.asked == 0
