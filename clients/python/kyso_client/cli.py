"""The command `kyso`: sign, verify, credentials, status."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Self

import httpx

from kyso_client.client import KysoClient
from kyso_client.errors import KysoError, KysoUnreachable
from kyso_client.results import SignedDocument, Verification
from kyso_client.settings import DEFAULT_URL, Settings, SettingsError, load
from kyso_client.tokens import ClientProof, ClientSecret

OK, NOT_VALID, USAGE, REFUSED, UNREACHABLE, UNKNOWN = range(6)
EXIT_CODES = """\
exit codes:
  0  done; for verify: the document is valid
  1  verify: the document is not valid (invalid, indeterminate, malformed or unsigned)
  2  wrong use, missing settings, or a local file that cannot be read or written
  3  the platform refused; its code and request id are printed
  4  the platform cannot be reached, or is not ready
  5  the outcome is unknown: a signature may have been made; ask again with the same --idempotency-key

settings, the nearest wins: flags; KYSO_URL, KYSO_CLIENT_ID, KYSO_CLIENT_SECRET_FILE, KYSO_PRIVATE_KEY_FILE, KYSO_KEY_ID;
the file ~/.config/kyso/config.toml with url, client_id, client_secret_file, private_key_file, key_id
"""
Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Be the command; exit with one of the documented codes."""
    raise SystemExit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    asked = parser().parse_args(arguments)
    try:
        flags = {key: getattr(asked, key, None) for key in ("url", "client_id", "client_secret_file")}
        settings = load(flags, asked.config)
        command: Command = asked.run
        return command(asked, settings)
    except SettingsError as error:
        return _fail(asked, USAGE, "USAGE", str(error))
    except OSError as error:
        return _fail(asked, USAGE, "FILE", f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except KysoError as error:
        return _fail(asked, _exit_code(asked, error), error.code, error.message, error.request_id)
    except httpx.InvalidURL as error:
        return _fail(asked, USAGE, "USAGE", f"the gateway's address is wrong: {error}")
    except KeyboardInterrupt:
        return _fail(asked, UNKNOWN, "INTERRUPTED", "interrupted; a request may still be worked on")


def parser() -> argparse.ArgumentParser:
    """Make the command line's grammar."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help=f"address of the gateway (default {DEFAULT_URL})")
    common.add_argument("--client-id", help="API client")
    common.add_argument("--client-secret-file", metavar="FILE", help="file that holds the client's secret")
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (default ~/.config/kyso/config.toml)"
    )
    common.add_argument("--json", action="store_true", help="print one line of JSON")
    top = argparse.ArgumentParser(
        prog="kyso",
        description="Sign with keys that never leave an HSM, and verify.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, parents=[common], help=text, description=text, epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        made.set_defaults(run=run)
        return made

    _add_sign(add("sign", _sign, "Sign one document."))
    verify = add("verify", _verify, "Verify one document.")
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument("--detached", type=Path, metavar="FILE", help="content of a detached signature")
    verify.add_argument("--integrity-only", action="store_true", help="leave trust out")
    add("credentials", _credentials, "List the credentials that this client sees.")
    status = add("status", _status, "Tell where an operation stands, or how the platform is.")
    status.add_argument("operation", nargs="?", metavar="OPERATION")
    status.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="write the operation's document there"
    )
    return top


def _add_sign(sign: argparse.ArgumentParser) -> None:
    sign.add_argument("file", type=Path, metavar="FILE")
    sign.add_argument("--credential", required=True, metavar="ID", help="credential to sign with")
    sign.add_argument("-o", "--output", type=Path, metavar="OUT", help="signed file (default: beside FILE)")
    sign.add_argument("--format", choices=("pades", "cades"), default="pades", help="default pades")
    sign.add_argument("--async", action="store_true", dest="later", help="hand in only; see status OPERATION")
    sign.add_argument(
        "--document-type", default="", metavar="TYPE", help="by the unit's list, such as cong-van"
    )
    sign.add_argument("--label", choices=("none", "mat", "toi_mat", "tuyet_mat"), default="none")
    sign.add_argument("--reference", default="", help="the caller's own reference, such as 1030/UBND-VX")
    sign.add_argument("--reason", default="", help="PDF only")
    sign.add_argument("--location", default="", help="PDF only")
    sign.add_argument("--idempotency-key", default="", metavar="KEY", help="repeat the key of an earlier try")


def _client(settings: Settings, proof: ClientProof | None = None) -> KysoClient:
    return KysoClient(settings.url, proof or settings.proof())


def _sign(asked: argparse.Namespace, settings: Settings) -> int:
    # Known here, so that it can be told where the outcome is unknown.
    asked.idempotency_key = asked.idempotency_key or uuid.uuid4().hex
    request = {"credential_id": asked.credential, "format": asked.format, "label": asked.label}
    for name in ("document_type", "reference", "reason", "location"):
        if getattr(asked, name):
            request[name] = getattr(asked, name)
    with _client(settings) as kyso, _Bar(asked, "sending") as bar:
        if asked.later:
            accepted = kyso.submit_document(
                asked.file, idempotency_key=asked.idempotency_key, progress=bar.progress, **request
            )
            _print(
                asked,
                {"operation_id": accepted.operation_id, "state": "accepted"},
                f"accepted as {accepted.operation_id}; kyso status {accepted.operation_id} tells more",
            )
            return OK
        output = asked.output or _beside(asked.file, asked.format)
        signed = kyso.sign_document(
            asked.file, output=output, idempotency_key=asked.idempotency_key, progress=bar.progress, **request
        )
    return _written(asked, signed, output)


def _beside(file: Path, signature_format: str) -> Path:
    return (
        file.with_name(f"{file.name}.p7s")
        if signature_format == "cades"
        else file.with_stem(f"{file.stem}-signed")
    )


def _written(asked: argparse.Namespace, signed: SignedDocument, output: Path) -> int:
    document = {
        "operation_id": signed.operation_id,
        "output": str(output),
        "media_type": signed.media_type,
        "size": signed.size,
    }
    _print(asked, document, f"{output}: {signed.size} bytes, operation {signed.operation_id}")
    return OK


def _verify(asked: argparse.Namespace, settings: Settings) -> int:
    with _client(settings) as kyso, _Bar(asked, "sending") as bar:
        report = kyso.verify(
            asked.file, detached=asked.detached, integrity_only=asked.integrity_only, progress=bar.progress
        )
    _print(asked, report.document, _report_text(report))
    return OK if report.verdict == "valid" else NOT_VALID


def _report_text(report: Verification) -> str:
    lines = [f"{report.verdict}: {report.sentence_vi}", f"  {report.sentence_en}"]
    for row in report.signatures:
        signer = row.get("signer") or {}
        detail = f" / {row['sub_indication']}" if row.get("sub_indication") else ""
        lines += [
            f"{row['name']}: {row['indication']}{detail}, {row['format']}, {row.get('algorithm') or 'no algorithm'}",
            f"  {signer.get('subject', 'no signer certificate')}",
            f"  {row['sentence_vi']}",
            f"  {row['sentence_en']}",
        ]
        lines += [f"  ! {warning['code']}: {warning['en']}" for warning in row.get("warnings", ())]
    return "\n".join(lines)


def _credentials(asked: argparse.Namespace, settings: Settings) -> int:
    with _client(settings) as kyso:
        rows = list(kyso.credentials())
    lines = [
        f"{row.id}  {row.status:8}  {row.key_algorithm:10}  "
        + (row.not_after.astimezone(UTC).strftime("until %Y-%m-%d") if row.not_after else "no certificate")
        for row in rows
    ]
    _print(asked, {"credentials": [row.document for row in rows]}, "\n".join(lines) or "no credentials")
    return OK


def _status(asked: argparse.Namespace, settings: Settings) -> int:
    if not asked.operation:
        return _platform_status(asked, settings)
    with _client(settings) as kyso:
        operation = kyso.operation(asked.operation)
        if asked.output and operation.document_url:
            return _written(asked, kyso.fetch_document(asked.operation, asked.output), asked.output)
    why = f": {operation.error_code} {operation.error_message}" if operation.error_code else ""
    _print(asked, operation.document, f"{operation.operation_id} {operation.state}{why}")
    return {"refused": REFUSED, "failed": REFUSED, "outcome_unknown": UNKNOWN}.get(operation.state, OK)


def _platform_status(asked: argparse.Namespace, settings: Settings) -> int:
    # Health needs no token, so this works before a client is set up.
    with _client(settings, ClientSecret("", "")) as kyso:
        state = kyso.readiness()
    document: dict[str, Any] = {
        "url": settings.url,
        "ready": state.ready,
        "reasons": state.reasons,
        "services": state.services,
    }
    lines = [f"{settings.url} is {'ready' if state.ready else 'not ready'}"]
    lines += [f"  {name}: {reason}" for name, reason in state.reasons.items()]
    lines += [f"  {name}: {reach}" for name, reach in state.services.items()]
    _print(asked, document, "\n".join(lines))
    return OK if state.ready else UNREACHABLE


def _print(asked: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    print(json.dumps(document, ensure_ascii=False) if asked.json else text)


def _fail(asked: argparse.Namespace, code: int, name: str, message: str, request_id: str = "") -> int:
    key = getattr(asked, "idempotency_key", "") if code in {UNREACHABLE, UNKNOWN} else ""
    if asked.json:
        error = {"code": name, "message": message, "request_id": request_id or None}
        known = {"idempotency_key": key} if key else {}
        print(json.dumps({"error": error, "exit_code": code, **known}, ensure_ascii=False))
    else:
        quote = f" (request id {request_id})" if request_id else ""
        print(f"kyso: {name}: {message}{quote}", file=sys.stderr)
        if key:
            print(f"kyso: to ask again without signing twice: --idempotency-key {key}", file=sys.stderr)
    return code


def _exit_code(asked: argparse.Namespace, error: KysoError) -> int:
    signing = asked.run is _sign
    if isinstance(error, KysoUnreachable):
        return UNKNOWN if error.sent and signing else UNREACHABLE
    if signing and error.code in {
        "OUTCOME_UNKNOWN",
        "HSM_OUTCOME_UNKNOWN",
        "DEADLINE_EXCEEDED",
        "OPERATION_IN_PROGRESS",
    }:
        return UNKNOWN
    return UNREACHABLE if error.status in {502, 503, 504} else REFUSED


class _Bar:
    """Progress on a terminal, one line on stderr; silent where stderr is no terminal."""

    def __init__(self, asked: argparse.Namespace, verb: str) -> None:
        self._verb = verb
        self._shown = sys.stderr.isatty() and not asked.json
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last:
            sys.stderr.write("\r" + " " * len(self._last) + "\r")
            sys.stderr.flush()

    def progress(self, sent: int, size: int) -> None:
        """Show how much of the document went out."""
        if not self._shown:
            return
        share = f"{100 * sent // size} %" if size else ""
        text = f"{self._verb} {share} of {size / 1e6:.1f} MB" if sent < size else "waiting for the platform"
        if text != self._last:
            sys.stderr.write("\r" + text.ljust(len(self._last)))
            sys.stderr.flush()
            self._last = text
