"""No serial number of a time-stamp comes twice: two replicas on one database, killed and started again between."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from services.kernel.runtime.config import DatabaseSettings
from services.signer.tsa.serials import BLOCK_SECONDS

BLOCK = 1000
REPLICAS = 2
SHORT_TOKENS, FULL_TOKENS = 2_000, 200_000
SHORT_KILLS, FULL_KILLS = 2, 20
STARTED_SECONDS = 60.0
"""A replica that has released nothing by then does not work."""


class Replica:
    """A process that stamps into a file."""

    def __init__(self, url: str, file: Path) -> None:
        self._command = [sys.executable, "-m", "tests.support.tsa_replica", url, str(file), str(BLOCK)]
        self.file = file
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait for the first token after it."""
        before = self.released()
        with self.file.with_suffix(".log").open("ab") as log:
            self._popen = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + STARTED_SECONDS
        while self.released() == before:
            said = self.file.with_suffix(".log").read_text(encoding="utf-8")
            assert self._popen.poll() is None, f"the replica ended:\n{said}"
            assert time.monotonic() < deadline, f"the replica released nothing:\n{said}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: nothing is settled."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def released(self) -> int:
        """Return how many bytes of serial numbers it has written."""
        return self.file.stat().st_size if self.file.exists() else 0

    def lines(self) -> int:
        """Return how many serial numbers it has written."""
        return self.file.read_bytes().count(b"\n")

    def serials(self) -> list[int]:
        """Return every serial number that it released, in order."""
        lines = self.file.read_text(encoding="ascii").split("\n")
        # The last line may be cut by a kill.
        return [int(line, 16) for line in lines[:-1]]


def test_no_serial_number_comes_twice_over_kills_and_replicas(
    database_settings: DatabaseSettings, tmp_path: Path, full: bool, report: Callable[[str], None]
) -> None:
    tokens, kills = (FULL_TOKENS, FULL_KILLS) if full else (SHORT_TOKENS, SHORT_KILLS)
    replicas = [Replica(database_settings.url, tmp_path / f"signer-{number}") for number in range(REPLICAS)]
    done, began = 0, time.monotonic()
    with ExitStack() as stack:
        for replica in replicas:
            stack.callback(replica.kill)
            replica.start()
        while True:
            count = sum(replica.lines() for replica in replicas)
            if count >= tokens and done >= kills:
                break
            if done < kills and count >= tokens * done / kills:
                victim = replicas[done % REPLICAS]
                victim.kill()
                victim.start()
                done += 1
            time.sleep(0.05)
    serials = [serial for replica in replicas for serial in replica.serials()]
    numbers = [serial >> 64 for serial in serials]
    assert len(serials) >= tokens
    assert len(set(serials)) == len(serials)
    # The numbers alone, without the random bits behind them, are different too.
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) >= 1
    # A kill loses what is left of a block, and so does a block's end by time.
    blocks_by_time = REPLICAS * ((time.monotonic() - began) / BLOCK_SECONDS + 1)
    lost = max(numbers) - len(numbers)
    assert 0 <= lost <= BLOCK * (done + REPLICAS + blocks_by_time)
    report(f"{len(serials)} time-stamps, {done} kills: no serial number twice, {lost} numbers lost")
