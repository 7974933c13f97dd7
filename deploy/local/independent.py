"""A second opinion on the signed file from programs that are not ours: poppler's pdfsig, else openssl cms.

Neither trusts the demo's CA, and neither has to: what they say is whether the bytes are the ones that were signed.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from deploy.local.console import PlatformError
from deploy.local.tools import Program, Tools

CHECK_SECONDS = 60
BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")

STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
DICTIONARY_BYTES = 600


def byte_range(document: bytes) -> tuple[int, int, int, int]:
    """The last signature's ByteRange: start and length of both signed pieces."""
    found = BYTE_RANGE.findall(document)
    if not found:
        raise PlatformError("the signed file has no /ByteRange: it is not signed")
    first, first_length, second, second_length = (int(number) for number in found[-1])
    return first, first_length, second, second_length


def flip_one_byte(document: bytes) -> tuple[bytes, int]:
    """Return the document with one byte of the signed range changed, and that byte's offset.

    The byte is the middle one of the longest plain stream (a page's text, an image, a font), so that the file can
    still be read as a PDF: what is shown is that the content is no longer what was signed.
    """
    start, length, _, _ = byte_range(document)
    spans = [
        found.span(1)
        for found in STREAM.finditer(document, start, start + length)
        if _is_plain(document, found.start())
    ]
    low, high = max(spans, key=lambda span: span[1] - span[0], default=(start, start + length))
    offset = (low + high) // 2
    return document[:offset] + bytes([document[offset] ^ 0x01]) + document[offset + 1 :], offset


def _is_plain(document: bytes, position: int) -> bool:
    # Streams that hold other objects or the cross-reference table are the file's structure.
    dictionary = document[max(0, position - DICTIONARY_BYTES) : position].rpartition(b" obj")[2]
    return b"/ObjStm" not in dictionary and b"/XRef" not in dictionary


def check(tools: Tools, path: Path) -> str:
    """Ask an independent program about `path`; return "tool: what it said". Raises PlatformError if it says no."""
    try:
        pdfsig = tools.pdfsig()
    except PlatformError as missing:
        return f"{_openssl(tools.program('openssl', 'openssl'), path)} (no pdfsig: {str(missing).splitlines()[0]})"
    # -nocert: the demo's CA is in nobody's trust store, and asking the network about it is not this check's business.
    said = _run([str(pdfsig.path), "-nocert", str(path)], pdfsig)
    verdicts = re.findall(r"Signature Validation: (.*)", said)
    if not verdicts or any(verdict.strip() != "Signature is Valid." for verdict in verdicts):
        raise PlatformError(f"pdfsig does not find the signature valid:\n{said}")
    covered = "Total document signed" in said
    return f"pdfsig: {verdicts[-1].strip()}{' Total document signed.' if covered else ''}"


def _openssl(openssl: Program, path: Path) -> str:
    document = path.read_bytes()
    first, first_length, second, second_length = byte_range(document)
    hexadecimal = document[first + first_length : second].strip(b"<>\r\n ")
    with tempfile.TemporaryDirectory() as folder:
        container, content = Path(folder) / "signature.der", Path(folder) / "content"
        container.write_bytes(_der(bytes.fromhex(hexadecimal.decode("ascii"))))
        content.write_bytes(
            document[first : first + first_length] + document[second : second + second_length]
        )
        command = [
            "cms",
            "-verify",
            "-binary",
            "-noverify",
            "-inform",
            "DER",
            "-in",
            str(container),
        ]
        _run([str(openssl.path), *command, "-content", str(content), "-out", "/dev/null"], openssl)
    return "openssl cms: the signature over the signed byte range is valid"


def _der(padded: bytes) -> bytes:
    """Cut the zeros off that fill the space reserved for the signature: DER says its own length."""
    count = padded[1] & 0x7F
    length = int.from_bytes(padded[2 : 2 + count]) if padded[1] & 0x80 else padded[1]
    return padded[: 2 + (count if padded[1] & 0x80 else 0) + length]


def _run(command: list[str], program: Program) -> str:
    try:
        done = subprocess.run(
            command, env=program.environment(), check=False, text=True, errors="replace", timeout=CHECK_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise PlatformError(f"{program.path.name} did not answer within {CHECK_SECONDS} s") from late
    if done.returncode != 0:
        raise PlatformError(f"{program.path.name} ended with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout
