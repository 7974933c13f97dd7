"""`python -m services.verifier check`: one document, judged here and now, without a platform."""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from services.verifier import algorithms, examination
from services.verifier.commands import check_output
from services.verifier.domain import Verdict
from services.verifier.examination import Answer
from services.verifier.formats import late
from services.verifier.ports import ContentDigest, SignatureFormat, SubmittedDocument, TrustMaterial
from services.verifier.reports.files import ReportPrinter
from services.verifier.x509 import anchors, certificates
from services.verifier.x509.certificates import CertificateError
from services.verifier.x509.path_rules import GOVERNMENT_G1_LINKS

_EXIT = {
    Verdict.VALID: 0,
    Verdict.INVALID: 1,
    Verdict.INDETERMINATE: 2,
    Verdict.MALFORMED: 3,
    Verdict.UNSIGNED: 4,
}
_USAGE, _UNREADABLE, _UNWRITABLE = 64, 66, 73
_HELP = """exit status:
  0   valid (with --integrity: intact) - and for use in scripts, see "clean" in the JSON answer
  1   not valid
  2   not enough information (no anchors given, status not known, format not supported, limits reached)
  3   malformed
  4   not signed
  64  wrong usage
  66  a file cannot be read, or an option makes no sense
  73  a file cannot be written, or is there already: nothing is ever replaced
"""


class _OutOfTime(BaseException):
    """The time limit is over. Not an Exception, so that no guard on the way takes it for a damaged document."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the answer goes to standard output, problems with usage to standard error."""
    # The libraries warn of what documents hold; the report is where that belongs.
    warnings.simplefilter("ignore")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.record:
        return _record(options)
    if options.file is None:
        parser.error("name a file, or use --record")
    try:
        document = SubmittedDocument(
            _read(options.file, options.max_bytes),
            _read(options.detached[0], options.max_bytes) if options.detached else None,
            {one.name: _read(one, options.max_bytes) for one in reversed(options.detached)},
            tuple(ContentDigest(*algorithms.stated_digest(one)) for one in options.detached_digest),
        )
        trust, formats = _trust(options), _formats(options)
        inquiry = check_output.inquiry(options, datetime.now(UTC))
        printer = ReportPrinter.read(options.font)
    except (OSError, CertificateError, ValueError) as error:
        sys.stderr.write(f"kyso verifier: {error}\n")
        return _UNREADABLE
    resource.setrlimit(resource.RLIMIT_AS, (options.memory_mib << 20, options.memory_mib << 20))
    answer = _guarded(
        lambda: examination.examine(formats, trust, document, inquiry, printer),
        lambda: examination.undecided(document.data, inquiry, printer),
        options.timeout,
    )
    try:
        check_output.write(options, answer)
    except OSError as error:
        sys.stderr.write(f"kyso verifier: {error}\n")
        return _UNWRITABLE
    for line in check_output.left_out(answer):
        sys.stderr.write(f"kyso verifier: {line}\n")
    report = answer.report
    written = json.dumps(report, ensure_ascii=False) if options.json else check_output.text(report)
    sys.stdout.write(written + "\n")
    return _EXIT[Verdict(report["verdict"])]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.verifier check",
        description="Verify the signatures of a PDF, CMS, XML or JSON file.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", type=Path, nargs="?", help="PDF, XML, JSON or compact JWS, or CMS in BER, PEM or base64"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="judge the path or S/MIME record on standard input instead of a file",
    )
    parser.add_argument(
        "--detached",
        type=Path,
        action="append",
        default=[],
        metavar="F",
        help="the content that a detached signature signs (repeatable: found by file name)",
    )
    parser.add_argument(
        "--detached-digest",
        action="append",
        default=[],
        metavar="ALGORITHM:BASE64",
        help="a digest of such content, which stays elsewhere (repeatable: by other algorithms, of other contents)",
    )
    parser.add_argument("--integrity", action="store_true", help="leave trust out: check integrity only")
    _add_trust(parser)
    check_output.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--timeout", type=float, default=25, metavar="SECONDS", help="limit (default 25)")
    parser.add_argument(
        "--max-bytes", type=int, default=64 << 20, metavar="N", help="largest file read (default 64 MiB)"
    )
    parser.add_argument(
        "--memory-mib", type=int, default=1536, metavar="N", help="address space limit (default 1536)"
    )
    return parser


def _add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anchor", type=Path, action="append", default=[], help="trust anchors, PEM or DER, file or folder"
    )
    parser.add_argument(
        "--intermediate", type=Path, action="append", default=[], help="CA certificates, file or folder"
    )
    parser.add_argument(
        "--crl", type=Path, action="append", default=[], help="revocation lists, file or folder"
    )
    parser.add_argument(
        "--trust-list",
        type=Path,
        action="append",
        default=[],
        metavar="F",
        help="anchors on terms, as the command trust-list writes them (repeatable)",
    )
    parser.add_argument(
        "--algorithms",
        type=Path,
        metavar="F",
        help="policy for algorithms, TOML, in place of the shipped one",
    )
    parser.add_argument(
        "--legacy-sha1",
        action="store_true",
        help="bear, with a warning, the government's first-generation CA certificates, which SHA-1 signs",
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a public key for XML signatures that only name theirs: PEM, DER, or XML that holds it by that name",
    )


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes; raise --max-bytes")
    return data


def _trust(options: argparse.Namespace) -> TrustMaterial:
    limit, policy = options.max_bytes, options.algorithms
    lists = [anchors.of_trust_list(_read(path, limit)) for path in options.trust_list]
    unlimited = _certificates(options.anchor, limit)
    without_terms = {hashlib.sha256(der).hexdigest() for der in unlimited}
    return TrustMaterial(
        anchors=(*unlimited, *(der for listed, _ in lists for der in listed)),
        intermediates=_certificates(options.intermediate, limit),
        crls=tuple(certificates.der_of_crl(_read(p, limit)) for p in _files(options.crl)),
        sha1_links=tuple(sorted(GOVERNMENT_G1_LINKS)) if options.legacy_sha1 else (),
        terms=tuple(one for _, terms in lists for one in terms if one.sha256 not in without_terms),
        algorithms=algorithms.default_policy() if policy is None else algorithms.read_policy(policy),
    )


def _certificates(paths: Sequence[Path], limit: int) -> tuple[bytes, ...]:
    return tuple(c.der for p in _files(paths) for c in certificates.load_all(_read(p, limit)))


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those in the folders named."""
    return [f for p in paths for f in (sorted(c for c in p.iterdir() if c.is_file()) if p.is_dir() else [p])]


def _record(options: argparse.Namespace) -> int:
    """One record from standard input, one line of JSON to standard output."""
    # Imported for records only, as most callers have none.
    from services.verifier.commands import records

    now = datetime.now(UTC)
    signal.signal(signal.SIGALRM, _on_alarm)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, options.timeout)
            record = json.loads(sys.stdin.buffer.read(options.max_bytes))
            answer = records.answer(record, _trust(options), now)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        answer = {"verdict": Verdict.INDETERMINATE.value, "clean": False, "detail": "out of time"}
    except (OSError, ValueError) as error:
        sys.stderr.write(f"kyso verifier: {error}\n")
        return _UNREADABLE
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    return _EXIT[Verdict(answer["verdict"])]


def _formats(options: argparse.Namespace) -> tuple[SignatureFormat, ...]:
    """Every format; that of XML with the keys that were given by name."""
    if not options.key:
        return late.FORMATS
    # Imported for these few only, as the other formats are when they are met.
    from services.verifier.formats import xml_keys
    from services.verifier.formats.xml_signature import XmlFormat

    keys = {}
    for one in options.key:
        name, given, path = one.partition("=")
        if not given:
            raise ValueError(f"--key {one}: write NAME=FILE")
        keys[name] = xml_keys.public_key(_read(Path(path), options.max_bytes), name)
    return tuple(XmlFormat(keys) if one.name == XmlFormat.name else one for one in late.FORMATS)


def _guarded(work: Callable[[], Answer], late: Callable[[], Answer], seconds: float) -> Answer:
    """Do the work within the time, or what is left to be done after it."""
    signal.signal(signal.SIGALRM, _on_alarm)
    try:
        # The inner block ends the alarm wherever it strikes, the outer one takes it even while that is done.
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        return late()


def _on_alarm(_signal: int, _frame: FrameType | None) -> None:
    raise _OutOfTime
