"""Judge mutants for a time, in processes that are watched; failures go to a folder.

Exit status 0: every mutant ended in a typed report within 10 s, and the processes together stayed under 1 GB. Corpora
of others are seeds too where CORPORA names their folder.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

TREE_BYTES = 1 << 30
REPORT_EVERY = 200
STUCK_SECONDS = 60
"""A child that says nothing for so long is stuck in one document."""


def _child(number: int, seed: int, seconds: float, channel: Connection) -> None:
    """Judge until the time is over; tell of counts and failures."""
    from tests.support import fuzzing

    chance = random.Random(seed * 1000 + number)  # noqa: S311 - no secret; the same mutants again
    own = fuzzing.own_seeds()
    others = fuzzing.seeds_in(Path(os.environ["CORPORA"]) / "files") if os.environ.get("CORPORA") else []
    judge, count, until = fuzzing.Judge(), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        count += 1
        if chance.random() < 0.1:
            failure = judge.evidence_failure(chance.choice(own), chance)
        else:
            seeds = others if others and chance.random() < 0.4 else own
            failure = judge.failure(fuzzing.stacked(seeds, chance), chance)
        if failure is not None:
            channel.send((count, failure.what, failure.document.data))
        elif count % REPORT_EVERY == 0:
            channel.send((count, "", b""))
    channel.send((count, "end", b""))


class Run:
    """The children and what they told."""

    def __init__(self, processes: int, seed: int, seconds: float, folder: Path) -> None:
        """Start them."""
        context = multiprocessing.get_context("spawn")
        self._folder = folder
        self._counts = dict.fromkeys(range(processes), 0)
        self.failures = 0
        self.peak = 0
        self._channels: dict[int, Connection] = {}
        self._children = []
        for number in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(number, seed, seconds, theirs), daemon=True)
            child.start()
            # So that the end of the child is the end of the channel.
            theirs.close()
            self._channels[number] = ours
            self._children.append(child)

    def watch(self) -> None:
        """Wait for the end; print a line a minute."""
        heard = dict.fromkeys(self._channels, time.monotonic())
        told = time.monotonic()
        while self._channels:
            for number, channel in list(self._channels.items()):
                while channel.poll(0.2 / len(heard)):
                    heard[number] = time.monotonic()
                    if not self._take(number, channel):
                        break
                if number in self._channels and time.monotonic() - heard[number] > STUCK_SECONDS:
                    self._fail(f"process {number} is stuck in one document", b"")
                    del self._channels[number]
            self._measure()
            if time.monotonic() - told > 60:
                told = time.monotonic()
                _say(self.summary())
        for child in self._children:
            child.kill()
            child.join()

    def _take(self, number: int, channel: Connection) -> bool:
        try:
            count, what, data = channel.recv()
        except EOFError:
            self._fail(f"process {number} died", b"")
            what, count = "end", self._counts[number]
        self._counts[number] = count
        if what == "end":
            del self._channels[number]
            return False
        if what:
            self._fail(what, data)
        return True

    def _fail(self, what: str, data: bytes) -> None:
        self.failures += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / hashlib.sha256(data).hexdigest()[:16]
        file.write_bytes(data)
        _say(f"FAILED {what}: {file}")

    def _measure(self) -> None:
        total = 0
        for child in self._children:
            try:
                total += psutil.Process(child.pid).memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak = max(self.peak, total)

    def summary(self) -> str:
        """One line."""
        return (
            f"{sum(self._counts.values())} mutants, {self.failures} failures,"
            f" at most {self.peak >> 20} MiB resident in {len(self._counts)} processes"
        )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("var/fuzz"))
    options = parser.parse_args()
    _say(f"seed {options.seed}, {options.seconds:g} s")
    run = Run(options.processes, options.seed, options.seconds, options.folder)
    try:
        run.watch()
    except KeyboardInterrupt:
        traceback.print_exc(limit=1)
        return 130
    _say(run.summary())
    return 0 if not run.failures and run.peak < TREE_BYTES else 1
