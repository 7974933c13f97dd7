"""`kyso verify` and `kyso evidence`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from kyso_client.client import KysoClient
from kyso_client.console import NOT_VALID, OK, Bar, answer
from kyso_client.results import Evidence, Verification
from kyso_client.settings import SettingsError
from kyso_client.verifying import FORMS, LANGUAGES, Owner, WrittenReport, write_new

_EXTENSIONS = {
    "certificate": ".cer",
    "crl": ".crl",
    "ocsp_response": ".ors",
    "time_stamp": ".tst",
    "report": ".json",
}


def add_verifying(verify: argparse.ArgumentParser) -> None:
    """Add what `verify` takes."""
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument(
        "--detached",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="content of a detached signature (repeatable: found by file name)",
    )
    verify.add_argument("--integrity-only", action="store_true", help="leave trust out")
    verify.add_argument(
        "--at", type=_moment, metavar="TIME", help="judge for this time instead of now (RFC 3339, or a date)"
    )
    owner = verify.add_argument_group("the dossier's owner, whom the signer is compared with")
    owner.add_argument("--owner-name", default="", metavar="NAME")
    owner.add_argument("--owner-tax", default="", metavar="MST", help="tax code")
    owner.add_argument("--owner-citizen", default="", metavar="CCCD", help="citizen number, or CMND")
    owner.add_argument("--owner-passport", default="", metavar="NUMBER")
    owner.add_argument("--owner-code", default="", metavar="PREFIX:VALUE")
    owner.add_argument(
        "--head-office-counts", action="store_true", help="a branch may sign for its head office"
    )
    report = verify.add_argument_group("report")
    report.add_argument("--report", choices=FORMS, help="write the report in this form, to the file of -o")
    report.add_argument("--language", choices=LANGUAGES, default="both", help="of html and pdf")
    report.add_argument("-o", "--output", type=Path, metavar="OUT", help="file for --report")
    more = verify.add_argument_group("originals and evidence")
    more.add_argument(
        "--extract", type=Path, metavar="DIR", help="write the documents that were signed into DIR"
    )
    more.add_argument("--evidence", type=Path, metavar="DIR", help="write the evidence used into DIR")
    more.add_argument("--keep-evidence", action="store_true", help="have the platform keep the evidence used")
    more.add_argument("--reference", default="", metavar="TEXT", help="your own reference for what is kept")


def add_evidence(evidence: argparse.ArgumentParser) -> None:
    """Add what `evidence` takes."""
    evidence.add_argument("id", nargs="?", metavar="ID", help="absent: list what is kept")
    evidence.add_argument(
        "--reference", default="", metavar="TEXT", help="list only that with this reference"
    )
    evidence.add_argument("-o", "--output", type=Path, metavar="DIR", help="write its files into DIR")
    evidence.add_argument("--delete", action="store_true", help="delete it for good")


def verify(asked: argparse.Namespace, kyso: KysoClient) -> int:
    """Verify one document."""
    _require_sense(asked)
    with Bar(asked, "sending") as bar:
        options: dict[str, Any] = {
            "detached": asked.detached,
            "integrity_only": asked.integrity_only,
            "valid_at": asked.at,
            "owner": _owner(asked),
            "progress": bar.progress,
        }
        if asked.extract is not None:
            return _extract(asked, kyso, options)
        options |= {"keep_evidence": asked.keep_evidence, "reference": asked.reference}
        if asked.report is not None:
            written = kyso.verification_report(
                asked.file, asked.report, language=asked.language, output=asked.output, **options
            )
            return _told(asked, written)
        report = kyso.verify(asked.file, include_evidence=asked.evidence is not None, **options)
    lines = [report_text(report)]
    if asked.evidence is not None:
        values = ((one.kind, one.data) for one in report.evidence)
        lines += [str(path) for path in _files(asked.evidence, values)]
    answer(asked, report.document, "\n".join(lines))
    return _exit(report.verdict)


def _require_sense(asked: argparse.Namespace) -> None:
    if (asked.report is None) != (asked.output is None):
        raise SettingsError("--report FORM and -o OUT go together")
    if asked.extract is not None and (asked.report or asked.evidence or asked.keep_evidence):
        raise SettingsError("--extract goes without --report, --evidence and --keep-evidence: verify apart")
    if asked.evidence is not None and asked.report is not None:
        raise SettingsError("--evidence goes without --report; --keep-evidence goes with it")
    if asked.reference and not asked.keep_evidence:
        raise SettingsError("--reference goes with --keep-evidence")


def _exit(verdict: str) -> int:
    return OK if verdict == "valid" else NOT_VALID


def _extract(asked: argparse.Namespace, kyso: KysoClient, options: dict[str, Any]) -> int:
    asked.extract.mkdir(parents=True, exist_ok=True)
    taken = kyso.extract_originals(asked.file, asked.extract, **options)
    paths = [str(path) for path in taken.paths]
    document = {"verdict": taken.verdict, "clean": taken.clean, "originals": paths}
    answer(asked, document, "\n".join([f"{taken.verdict}:", *paths]))
    return _exit(taken.verdict)


def _told(asked: argparse.Namespace, written: WrittenReport) -> int:
    document = {
        "verdict": written.verdict,
        "clean": written.clean,
        "output": str(written.path),
        "media_type": written.media_type,
        "evidence_id": written.evidence_id or None,
    }
    kept = f"\nevidence kept as {written.evidence_id}" if written.evidence_id else ""
    answer(asked, document, f"{written.verdict}: {written.path}{kept}")
    return _exit(written.verdict)


def _files(folder: Path, values: Iterable[tuple[str, bytes]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_new(folder, f"{number:03}-{kind}{_EXTENSIONS.get(kind, '.bin')}", BytesIO(data))
        for number, (kind, data) in enumerate(values, 1)
    ]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    # Without a zone it is what the clock on the wall says here.
    return moment if moment.tzinfo is not None else moment.astimezone()


def _owner(asked: argparse.Namespace) -> Owner | None:
    owner = Owner(
        asked.owner_name, asked.owner_tax, asked.owner_citizen, asked.owner_passport, asked.owner_code,
        asked.head_office_counts,
    )  # fmt: skip
    return None if owner == Owner(head_office_counts=asked.head_office_counts) else owner


def _shown(text: str) -> str:
    """One line of visible characters: others could clear the screen, or write a verdict of their own below it."""
    return "".join(one if one.isprintable() else f"<U+{ord(one):04X}>" for one in text)


def report_text(report: Verification) -> str:
    """The report in words. What a document says cannot steer the terminal."""
    lines = [f"{report.verdict}: {report.sentence_vi}", f"  {report.sentence_en}"]
    lines += [f"  ! {warning['code']}: {warning['en']}" for warning in report.document.get("warnings", ())]
    for row in report.signatures:
        signer = row.get("signer") or {}
        detail = f" / {row['sub_indication']}" if row.get("sub_indication") else ""
        lines += [
            f"{_shown(row['name'])}: {row['indication']}{detail}, {_shown(row['format'])}, "
            f"{row.get('algorithm') or 'no algorithm'}",
            f"  {_shown(signer.get('subject', 'no signer certificate'))}",
            f"  {_shown(row['sentence_vi'])}",
            f"  {_shown(row['sentence_en'])}",
        ]
        owner = row.get("owner")
        if owner:
            lines += [f"  {owner['vi']}", f"  {owner['en']}"]
        lines += [f"  ! {warning['code']}: {warning['en']}" for warning in row.get("warnings", ())]
    for inner in report.document.get("inner", ()):
        lines.append(f"inside: {_shown(inner['name']) or '-'}")
        lines += [f"  {line}" for line in report_text(Verification.of(inner["report"])).splitlines()]
    if report.evidence_id:
        lines.append(f"evidence kept as {report.evidence_id}")
    return "\n".join(lines)


def evidence(asked: argparse.Namespace, kyso: KysoClient) -> int:
    """List, show, fetch or delete kept evidence."""
    if not asked.id:
        if asked.delete or asked.output is not None:
            raise SettingsError("name the ID: kyso evidence lists what there is")
        rows = list(kyso.kept_evidence(reference=asked.reference))
        answer(
            asked,
            {"evidence": [row.document for row in rows]},
            "\n".join(map(_line, rows)) or "no evidence is kept",
        )
        return OK
    kept = kyso.evidence(asked.id)
    lines = [_line(kept), *(f"  {file.kind:14} {file.size:9} {file.sha256}" for file in kept.files)]
    document: dict[str, Any] = dict(kept.document)
    if asked.output is not None:
        values = ((file.kind, kyso.evidence_file(file)) for file in kept.files)
        document["output"] = [str(path) for path in _files(asked.output, values)]
        lines += document["output"]
    if asked.delete:
        kyso.delete_evidence(asked.id)
        document["deleted"] = True
        lines.append("deleted")
    answer(asked, document, "\n".join(lines))
    return OK


def _line(row: Evidence) -> str:
    when = row.validated_at.isoformat(timespec="seconds") if row.validated_at else "-"
    return f"{row.id}  {row.verdict:13}  {when}  {row.reference}".rstrip()
