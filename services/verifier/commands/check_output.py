"""What the command `check` takes beside trust, and what it gives: the report in words, and files that replace nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.verifier.examination import Answer
from services.verifier.inquiry import FileKind, Form, Inquiry
from services.verifier.owner import Owner
from services.verifier.reports.words import Language, plain

CLOCK_SKEW = timedelta(seconds=60)
_SENTENCE = 600
"""Characters of a sentence, which may hold the signer's name."""
_EXTENSIONS = {
    FileKind.CERTIFICATE: "cer",
    FileKind.CRL: "crl",
    FileKind.OCSP_RESPONSE: "ors",
    FileKind.TIME_STAMP: "tst",
}
_OWNER = ("name", "tax", "citizen", "passport", "code")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is asked beside the verdict."""
    parser.add_argument(
        "--at", metavar="TIME", help="judge for this time instead of now (RFC 3339, or a date): past, or now"
    )
    owner = parser.add_argument_group("the dossier's owner, whom the signer is compared with")
    for name in _OWNER:
        owner.add_argument(f"--owner-{name}", default="", metavar="TEXT")
    owner.add_argument(
        "--head-office-counts", action="store_true", help="a branch may sign for its head office"
    )
    more = parser.add_argument_group("files")
    more.add_argument(
        "--report", choices=[form.value for form in Form], help="write the report to the file of -o"
    )
    more.add_argument("-o", "--output", type=Path, metavar="OUT", help="file for --report")
    more.add_argument(
        "--language", choices=[one.value for one in Language], default="both", help="of html and pdf"
    )
    more.add_argument("--font", type=Path, metavar="TTF", help="font for --report pdf")
    more.add_argument(
        "--extract", type=Path, metavar="DIR", help="write the documents that were signed into DIR"
    )
    more.add_argument("--evidence", type=Path, metavar="DIR", help="write the evidence used into DIR")


def inquiry(options: argparse.Namespace, now: datetime) -> Inquiry:
    """What the options ask. Raises ValueError that says what is wrong with them."""
    if (options.report is None) != (options.output is None):
        raise ValueError("--report FORM and -o OUT go together")
    if options.report == Form.PDF and options.font is None:
        raise ValueError("--report pdf needs --font FILE: a TrueType font with the Vietnamese letters")
    named = {name: getattr(options, f"owner_{name}") for name in _OWNER}
    owner = None
    if any(named.values()):
        owner = Owner.of(head_office_counts=options.head_office_counts, **named)
    return Inquiry(
        at=now,
        valid_at=None if options.at is None else _past(options.at, now),
        integrity_only=options.integrity,
        owner=owner,
        form=None if options.report is None else Form(options.report),
        language=Language(options.language),
        evidence=options.max_bytes if options.evidence is not None else 0,
        originals=options.max_bytes if options.extract is not None else 0,
        file_name=options.file.name,
    )


def _past(text: str, now: datetime) -> datetime | None:
    moment = datetime.fromisoformat(text)
    # Without a zone it is what the clock on the wall says here.
    moment = moment.astimezone(UTC)
    if moment > now + CLOCK_SKEW:
        raise ValueError("--at lies in the future: nobody knows what will be revoked until then")
    return moment if moment < now else None


def write(options: argparse.Namespace, answer: Answer) -> None:
    """Write the files that were asked for. Raises OSError; FileExistsError rather than to replace one."""
    number = 0
    for file in answer.files:
        if file.kind is FileKind.REPORT:
            _write_new(options.output, file.data)
        elif file.kind is FileKind.ORIGINAL and options.extract is not None:
            options.extract.mkdir(parents=True, exist_ok=True)
            _write_new(options.extract / file.name, file.data)
        elif options.evidence is not None and file.kind in _EXTENSIONS:
            number += 1
            options.evidence.mkdir(parents=True, exist_ok=True)
            name = f"{number:03}-{file.kind.value}.{_EXTENSIONS[file.kind]}"
            _write_new(options.evidence / name, file.data)


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def left_out(answer: Answer) -> Iterable[str]:
    """What was asked for and had no room."""
    if answer.evidence_left_out:
        yield f"{answer.evidence_left_out} values of the evidence had no room; raise --max-bytes"
    if answer.originals_left_out:
        yield f"{answer.originals_left_out} originals had no room; raise --max-bytes"


def text(report: dict[str, Any]) -> str:
    """The report in words, Vietnamese and English. What a document says cannot steer the terminal: see `plain`."""
    lines = [report["sentence"]["vi"], report["sentence"]["en"]]
    lines += _owner(report["owner"])
    lines += [f"  [{w['code']}] {w['vi']} / {w['en']}" for w in report["warnings"]]
    for entry in report["signatures"]:
        sub = f" / {entry['sub_indication']}" if entry["sub_indication"] else ""
        lines.append(f"\n{plain(entry['name'])} ({plain(entry['format'])}): {entry['indication']}{sub}")
        lines += [f"  {plain(entry['sentence'][tag], _SENTENCE)}" for tag in ("vi", "en")]
        if entry["detail"]:
            lines.append(f"  {plain(entry['detail'])}")
        signer = entry["signer"]
        if signer:
            lines.append(f"  Chủ thể ký / signer: {plain(signer['common_name'] or signer['subject'])}")
            lines += [f"    {plain(i['prefix'])}: {plain(i['value'])}" for i in signer["identifiers"]]
            lines.append(f"  Cơ quan cấp / issuer: {plain(signer['issuer_name'] or signer['issuer'])}")
        lines += [f"  {line}" for line in _owner(entry["owner"])]
        lines.append(
            f"  Thời điểm ký (theo người ký) / signing time (claimed): {entry['signing_time']['claimed'] or '-'}"
        )
        coverage = entry["coverage"]
        revision = (
            f", revision {coverage['revision']} of {coverage['revisions']}" if coverage["revision"] else ""
        )
        lines.append(f"  Phạm vi / covers: {coverage['kind']}{revision}")
        lines += [f"    + revision {c['revision']}: {plain(c['touches'])}" for c in coverage["later"]]
        lines += [f"  [{w['code']}] {w['vi']} / {w['en']}" for w in entry["warnings"]]
    for inner in report["inner"]:
        lines.append(f"\n→ bên trong / inside: {plain(inner['name']) or '-'}")
        lines += [f"  {line}" for line in text(inner["report"]).splitlines()]
    return "\n".join(lines)


def _owner(match: dict[str, str] | None) -> list[str]:
    return [] if match is None else [match["vi"], match["en"]]
