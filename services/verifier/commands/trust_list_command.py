"""`python -m services.verifier trust-list`: a trust list checked and turned into the file that the registry takes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.verifier.formats import xml_input
from services.verifier.trust import trust_list
from services.verifier.trust.trust_list import TrustListError
from services.verifier.x509 import certificates

SCOPES = ("government", "public", "foreign")
MAX_CERTIFICATE_FILE = 64 * 1024
MAX_KEPT_BYTES = 16 << 20
_REFUSED, _UNREADABLE = 1, 66
_HELP = """exit status:
  0   the list is believed and written
  1   it is not: its signature, its dates, or an older sequence number than the file that is there
  64  wrong usage
  66  a file cannot be read or written
"""


def main(arguments: Sequence[str], now: datetime | None = None) -> int:
    """Run the command; what is wrong goes to standard error. `now` is for tests; None: the clock."""
    options = _parser().parse_args(arguments)
    at = now or datetime.now(UTC)
    try:
        data = _read(options.file, xml_input.MAX_BYTES)
        signers = [c for p in options.signer for c in certificates.load_all(_read(p, MAX_CERTIFICATE_FILE))]
        before = _before(options.output)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"kyso trust list: {error}\n")
        return _UNREADABLE
    try:
        found = trust_list.read(data, signers, options.scope, at)
        _require_newer(before, found)
    except TrustListError as error:
        sys.stderr.write(f"kyso trust list: {options.file}: {error}\n")
        return _REFUSED
    text = json.dumps(trust_list.document(found), ensure_ascii=False, indent=1) + "\n"
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        _replace(options.output, text)
    except OSError as error:
        sys.stderr.write(f"kyso trust list: {options.output}: {error.strerror or error}\n")
        return _UNREADABLE
    until = "closed" if found.next_update is None else f"until {found.next_update:%F %T} UTC"
    sys.stdout.write(
        f"{found.operator} ({found.territory}) no. {found.sequence_number}, {until}: {len(found.anchors)} anchors, "
        f"{found.left_out} services left out\n"
    )
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m services.verifier trust-list",
        description="Check a trust list (ETSI TS 119 612) and write its anchors for the registry.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="the list, XML")
    parser.add_argument(
        "--signer",
        type=Path,
        action="append",
        required=True,
        metavar="CERT",
        help="a certificate that may sign the list, PEM or DER (repeatable)",
    )
    parser.add_argument(
        "--scope", choices=SCOPES, required=True, help="by whom the list's authorities stand for this country"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write there, unless what is there has a higher sequence number; without it: standard output",
    )
    return parser


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return data


def _before(path: Path | None) -> dict[str, Any] | None:
    """What the output file holds from before."""
    if path is None or not path.exists():
        return None
    kept = json.loads(_read(path, MAX_KEPT_BYTES))
    if not isinstance(kept, dict) or kept.get("kind") != "kyso-trust-list":
        raise ValueError(f"{path} is there and holds no trust list; name another file")
    return kept


def _require_newer(before: dict[str, Any] | None, found: trust_list.TrustList) -> None:
    """Clause 5.3.2: numbers only grow, so an older list is an old one put in the new one's place."""
    if before is None:
        return
    if (before["operator"], before["territory"]) != (found.operator, found.territory):
        raise TrustListError("the output file holds the list of another operator; name another file")
    number = int(before["sequence_number"])
    if found.sequence_number < number:
        raise TrustListError(
            f"no. {found.sequence_number} is older than no. {number}, which is there already"
        )
    if found.sequence_number == number and before["sha256"] != found.sha256:
        raise TrustListError(f"another list than the one that is there has the same number {number}")


def _replace(path: Path, text: str) -> None:
    """Write all of it or nothing: a reader finds the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
