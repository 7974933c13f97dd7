"""The command `kyso`: sign, extend, batch, verify, evidence, credentials, status."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx

from kyso_client import verify_command
from kyso_client.arguments import add_declarations, add_signing, signing_options
from kyso_client.batch import Batch
from kyso_client.client import KysoClient
from kyso_client.console import OK, REFUSED, UNKNOWN, UNREACHABLE, USAGE, Bar, answer
from kyso_client.errors import KysoError, KysoUnreachable
from kyso_client.options import LEVELS
from kyso_client.results import SignedDocument
from kyso_client.settings import DEFAULT_URL, Settings, SettingsError, load
from kyso_client.tokens import ClientProof, ClientSecret

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

    _add_sign(add("sign", _sign, "Sign one document, or several files in one container."))
    _add_extend(add("extend", _extend, "Raise the signatures of a document to a higher level."))
    _add_batch(add("batch", _batch, "Sign the documents of a folder; run it again to go on after a break."))
    verify_command.add_verifying(
        add("verify", _verify, "Verify one document; take its originals out; have its evidence kept.")
    )
    verify_command.add_evidence(
        add("evidence", _evidence, "List, show, fetch or delete the evidence that is kept.")
    )
    add("credentials", _credentials, "List the credentials that this client sees.")
    status = add("status", _status, "Tell where an operation stands, or how the platform is.")
    status.add_argument("operation", nargs="?", metavar="OPERATION")
    status.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="write the operation's document there"
    )
    return top


def _add_sign(sign: argparse.ArgumentParser) -> None:
    sign.add_argument(
        "files", type=Path, nargs="*", metavar="FILE", help="content; several where the format takes several"
    )
    sign.add_argument(
        "--signature", type=Path, metavar="FILE", help="existing container that takes one more signature"
    )
    sign.add_argument("-o", "--output", type=Path, metavar="OUT", help="signed file (default: beside FILE)")
    sign.add_argument("--async", action="store_true", dest="later", help="hand in only; see status OPERATION")
    add_signing(sign)


def _add_extend(extend: argparse.ArgumentParser) -> None:
    extend.add_argument("file", type=Path, metavar="FILE", help="signed file")
    extend.add_argument(
        "--content", type=Path, action="append", default=[], metavar="FILE", help="of a detached signature"
    )
    extend.add_argument("--level", choices=LEVELS[1:], required=True)
    extend.add_argument(
        "--lower-level", action="store_true", help="take a lower level where it cannot be reached"
    )
    extend.add_argument(
        "--time-stamp-authority", default="", metavar="NAME", help="default: the platform's own"
    )
    extend.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="extended file (default: beside FILE)"
    )
    add_declarations(extend)


def _add_batch(batch: argparse.ArgumentParser) -> None:
    batch.add_argument("folder", type=Path, metavar="DIR")
    batch.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder of results (default: DIR/signed)"
    )
    batch.add_argument("--pattern", default="", help="files of DIR to sign (default *.pdf for pades, else *)")
    add_signing(batch)


def _client(settings: Settings, proof: ClientProof | None = None) -> KysoClient:
    return KysoClient(settings.url, proof or settings.proof())


def _sign(asked: argparse.Namespace, settings: Settings) -> int:
    # Known here, so that it can be told where the outcome is unknown.
    asked.idempotency_key = asked.idempotency_key or uuid.uuid4().hex
    options = signing_options(asked)
    if not asked.files and asked.signature is None:
        raise SettingsError("nothing to sign: name a FILE, or a --signature that takes one more")
    document, *more = asked.files or [None]
    with _client(settings) as kyso, Bar(asked, "sending") as bar:
        sent: dict[str, Any] = {
            "more": more, "signature": asked.signature, "images": asked.image,
            "idempotency_key": asked.idempotency_key, "progress": bar.progress, **options,
        }  # fmt: skip
        if asked.later:
            accepted = kyso.submit_document(document, **sent)
            answer(
                asked,
                {"operation_id": accepted.operation_id, "state": "accepted"},
                f"accepted as {accepted.operation_id}; kyso status {accepted.operation_id} tells more",
            )
            return OK
        beside = asked.output or (document or asked.signature).parent
        signed = kyso.sign_document(document, output=beside, **sent)
    return _written(asked, signed)


def _extend(asked: argparse.Namespace, settings: Settings) -> int:
    names = ("time_stamp_authority", "document_type", "label", "reference")
    request = {name: getattr(asked, name) for name in names}
    if asked.lower_level:
        request["level_rule"] = "lower"
    with _client(settings) as kyso, Bar(asked, "sending") as bar:
        extended = kyso.extend_document(
            asked.file,
            level=asked.level,
            content=asked.content,
            output=asked.output or asked.file.parent,
            progress=bar.progress,
            **request,
        )
    return _written(asked, extended)


def _batch(asked: argparse.Namespace, settings: Settings) -> int:
    options = signing_options(asked)
    if not asked.folder.is_dir():
        raise SettingsError(f"{asked.folder} is not a folder")
    pattern = asked.pattern or ("*.pdf" if asked.format == "pades" else "*")
    batch = Batch(asked.folder, asked.output or asked.folder / "signed", pattern, asked.idempotency_key)
    asked.idempotency_key = batch.key

    def tell(name: str, what: str) -> None:
        if not asked.json:
            print(f"{name}: {what}")

    with _client(settings) as kyso:
        left = batch.run(kyso, options, asked.image, tell)
    rows = [
        {"key": one.key, "operation_id": one.operation_id, "state": one.state, "code": one.error_code}
        for one in left
    ]
    document = {"idempotency_key": batch.key, "files": len(batch.files), "signed": batch.done, "left": rows}
    answer(asked, document, f"{len(batch.done)} of {len(batch.files)} signed")
    if any(one.state == "outcome_unknown" or not one.ended for one in left):
        return UNKNOWN
    return REFUSED if left else OK


def _written(asked: argparse.Namespace, signed: SignedDocument) -> int:
    document = {
        "operation_id": signed.operation_id,
        "output": str(signed.path),
        "media_type": signed.media_type,
        "size": signed.size,
        "level": signed.level or None,
        "level_missed": signed.level_missed or None,
        "warnings": list(signed.warnings),
    }
    lines = [f"{signed.path}: {signed.size} bytes, operation {signed.operation_id}"]
    if signed.level_missed:
        lines.append(f"  ! level {signed.level} only: {signed.level_missed}")
    lines += [f"  ! {code}" for code in signed.warnings]
    answer(asked, document, "\n".join(lines))
    return OK


def _verify(asked: argparse.Namespace, settings: Settings) -> int:
    with _client(settings) as kyso:
        return verify_command.verify(asked, kyso)


def _evidence(asked: argparse.Namespace, settings: Settings) -> int:
    with _client(settings) as kyso:
        return verify_command.evidence(asked, kyso)


def _credentials(asked: argparse.Namespace, settings: Settings) -> int:
    with _client(settings) as kyso:
        rows = list(kyso.credentials())
    lines = [
        f"{row.id}  {row.status:8}  {row.key_algorithm:10}  "
        + (row.not_after.astimezone(UTC).strftime("until %Y-%m-%d") if row.not_after else "no certificate")
        for row in rows
    ]
    answer(asked, {"credentials": [row.document for row in rows]}, "\n".join(lines) or "no credentials")
    return OK


def _status(asked: argparse.Namespace, settings: Settings) -> int:
    if not asked.operation:
        return _platform_status(asked, settings)
    with _client(settings) as kyso:
        operation = kyso.operation(asked.operation)
        if asked.output and operation.document_url:
            return _written(asked, kyso.fetch_document(asked.operation, asked.output))
    why = f": {operation.error_code} {operation.error_message}" if operation.error_code else ""
    answer(asked, operation.document, f"{operation.operation_id} {operation.state}{why}")
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
    answer(asked, document, "\n".join(lines))
    return OK if state.ready else UNREACHABLE


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
    signing = asked.run in {_sign, _batch}
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
