"""CPU of every signature format's own code: key, time-stamp authority and status services are left out.

What they take is shown apart for the levels. Medians of process CPU time, everything in one process; large files in a
process of their own, whose peak memory is printed. Run with `python -m bench.formats`.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO, ParamSpec, TypeVar

from bench.pades import one_page
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.documents.worker import loaded
from services.signer.formats.format import Document, SignatureFormat, Signed, TimeStampNeeded
from services.signer.formats.parameters import Envelope, Level, SignatureParameters
from tests.support import mail, stamping

P = ParamSpec("P")
T = TypeVar("T")

ROUNDS = 40
LARGE_ROUNDS = 5
SHA256 = DigestAlgorithm.SHA256
ALGORITHM = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, SHA256)


@dataclass(frozen=True)
class Row:
    """One figure, and what it is compared with."""

    name: str
    value: float
    unit: str = "ms CPU"
    against: tuple[str, float] | None = None


class Stopwatch:
    """Adds up the CPU time of some calls, and of some others."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.ours = self.others = 0.0

    def own(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Time a call of the format's code."""
        started = time.process_time()
        result = call(*args, **options)
        self.ours += time.process_time() - started
        return result

    def other(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Time a call of an authority's or a status service's."""
        started = time.process_time()
        result = call(*args, **options)
        self.others += time.process_time() - started
        return result


def sign(
    form: SignatureFormat, document: Document, parameters: SignatureParameters, watch: Stopwatch
) -> bytes:
    """Sign and raise to the parameters' level; return what was added."""
    who = mail.sender()
    prepared = watch.own(form.prepare, document, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    addition = watch.own(form.complete, document, parameters, prepared.state, value)
    level = parameters.envelope.level
    while level is not Level.B_B:
        signed = Signed(document, addition)
        need = watch.own(form.next_need, signed, level, SHA256)
        if need is None:
            break
        if isinstance(need, TimeStampNeeded):
            token = watch.other(stamping.token, need.imprint, SHA256)
            addition = watch.own(form.add_time_stamp, signed, need, token)
        else:
            evidence = watch.other(stamping.evidence, need.certificates)
            addition = watch.own(form.add_evidence, signed, need, evidence)
    return addition


def _median(form: SignatureFormat, data: bytes, envelope: Envelope, name: str = "") -> tuple[float, float]:
    """Return the CPU milliseconds of the format's code, and of the others, for one signature."""
    who = mail.sender()
    ours, others = [], []
    for _ in range(ROUNDS):
        parameters = SignatureParameters(who.chain, ALGORITHM, datetime.now(UTC), envelope)
        watch = Stopwatch()
        sign(form, replace(Document.of(data), name=name), parameters, watch)
        ours.append(watch.ours)
        others.append(watch.others)
    # The first rounds fill what is cached for a chain.
    return statistics.median(ours[5:]) * 1000, statistics.median(others[5:]) * 1000


def _write_pdf(file: BinaryIO, megabytes: int) -> int:
    """Write a PDF file of one page and one stream of that many MiB; return its size."""
    small = one_page()
    head, xref = small[:9], small.rindex(b"xref\n0 ")
    file.write(head)
    file.write(b"7 0 obj\n<</Length %d>>\nstream\n" % (megabytes << 20))
    file.writelines(hashlib.sha256(b"%d" % number).digest() * (1 << 15) for number in range(megabytes))
    file.write(b"\nendstream\nendobj\n")
    body = file.tell()
    file.write(small[9:xref])
    offsets = [body - 9 + small.index(b"%d 0 obj" % number) for number in range(1, 7)]
    start = file.tell()
    file.write(b"xref\n0 8\n0000000000 65535 f \n")
    file.writelines(b"%010d 00000 n \n" % offset for offset in [*offsets, len(head)])
    file.write(b"trailer\n<</Size 8 /Root 1 0 R /Info 6 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start)
    return file.tell()


def large(megabytes: int) -> dict[str, float]:
    """Sign a large file as a document worker does; return CPU of signing and of SHA-256, and the peak memory."""
    form = loaded()["PADES"]
    who = mail.sender()
    with tempfile.TemporaryFile() as file:
        size = _write_pdf(file, megabytes)
        file.flush()
        cpu, plain = [], []
        for _ in range(LARGE_ROUNDS):
            watch, hashing = Stopwatch(), Stopwatch()
            stream: BinaryIO = BytesIO(_read(file, size)) if size <= 8 << 20 else file
            document = Document(stream, size)
            parameters = SignatureParameters(who.chain, ALGORITHM, datetime.now(UTC), Envelope("PADES"))
            sign(form, document, parameters, watch)
            hashing.own(document.hash, SHA256)
            cpu.append(watch.ours)
            plain.append(hashing.ours)
    return {
        "cpu": statistics.median(cpu) * 1000,
        "sha256": statistics.median(plain) * 1000,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _read(file: BinaryIO, size: int) -> bytes:
    file.seek(0)
    return file.read(size)


def _large_rows() -> list[Row]:
    rows = []
    for megabytes in (5, 50):
        command = [sys.executable, "-m", "bench.formats", str(megabytes)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=300)
        got = json.loads(done.stdout)
        name = f"sha256_{megabytes}mb_cpu_ms"
        rows += [
            Row(f"pades_bb_{megabytes}mb_cpu_ms", got["cpu"], against=(name, got["sha256"])),
            Row(name, got["sha256"]),
            Row(f"pades_bb_{megabytes}mb_peak_mib", got["peak"], "MiB"),
        ]
    return rows


def _level_rows(forms: dict[str, SignatureFormat]) -> list[Row]:
    rows: list[Row] = []
    bb = ("pades_bb_1page_levels_cpu_ms", 0.0)
    for level in Level:
        ours, others = _median(forms["PADES"], one_page(), Envelope("PADES", level))
        short = level.value.replace("-", "").lower()
        if level is Level.B_B:
            bb = (bb[0], ours)
            rows.append(Row(*bb))
            continue
        rows.append(Row(f"pades_{short}_1page_cpu_ms", ours, against=bb))
        rows.append(Row(f"pades_{short}_1page_others_cpu_ms", others))
    return rows


def _format_rows(forms: dict[str, SignatureFormat]) -> list[Row]:
    text = b"Van ban dien tu. " * 600
    content = text[:10_240]
    xml = b'<?xml version="1.0" encoding="UTF-8"?>\n<HoSo><Muc Id="a">' + text[:10_180] + b"</Muc></HoSo>"
    message = (
        b"From: %b\r\nTo: a@b.vn\r\nSubject: x\r\nContent-Type: text/plain\r\n\r\n" % mail.SENDER.encode()
    )
    message += b"\r\n".join(text[start : start + 70] for start in range(0, 10_000, 70)) + b"\r\n"
    chosen = {
        "cades_10k_cpu_ms": ("CADES", content, Envelope("CADES")),
        "xades_10k_cpu_ms": ("XADES", xml, Envelope("XADES")),
        "jades_10k_cpu_ms": ("JADES", content, Envelope("JADES")),
        "asice_10k_cpu_ms": ("ASIC_E", content, Envelope("ASIC_E")),
        "smime_10k_cpu_ms": ("SMIME", message, Envelope("SMIME")),
    }
    return [
        Row(name, _median(forms[form], data, envelope, "van-ban.txt")[0])
        for name, (form, data, envelope) in chosen.items()
    ]


def rows() -> list[Row]:
    """Measure everything."""
    forms = loaded()
    return [*_level_rows(forms), *_format_rows(forms), *_large_rows()]


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(large(int(sys.argv[1]))))
    else:
        for row in rows():
            ratio = f"{row.value / row.against[1]:8.3f} of {row.against[0]}" if row.against else ""
            print(f"{row.name:36} {row.value:10.3f} {row.unit:8} {ratio}")
