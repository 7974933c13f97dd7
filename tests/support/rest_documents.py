"""Documents sent to the REST API of a running platform, and the foreign tools that judge what comes back."""

from __future__ import annotations

import json
import re
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest

from tests.support.document_signers import pdf_signature_parts, pdfsig
from tests.support.pdfs import one_page_pdf
from tests.support.world import World

XML = '<HSoKhaiThue><TTin Id="t1">Tờ khai quý I/2018</TTin><CKyDTu/></HSoKhaiThue>'.encode()
MAIL = (
    "From: Van thu <vanthu@vidu.example>\r\nTo: b@vidu.example\r\nSubject: =?utf-8?B?Q8O0bmcgdsSDbg==?=\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Kính gửi Ủy ban nhân dân phường\r\n"
).encode()
VALID = "Signature is Valid."


def post(
    world: World, path: str, request: dict[str, Any], *files: tuple[str, str, bytes, str]
) -> httpx.Response:
    asked = {"document_type": "cong-van", "label": "none", **request}
    parts: list[Any] = [("request", (None, json.dumps(asked), "application/json"))]
    parts += [(part, (name, content, kind)) for part, name, content, kind in files]
    headers = world.headers() | {"Idempotency-Key": world.new_key()}
    return world.http.post(path, files=parts, headers=headers)


def sign(world: World, request: dict[str, Any], *files: tuple[str, str, bytes, str]) -> httpx.Response:
    answer = post(world, "/v1/signatures", {"credential_id": world.rsa_credential, **request}, *files)
    assert answer.status_code == 200, answer.text
    return answer


def pdf(text: str = "letter") -> tuple[str, str, bytes, str]:
    return "document", "thư.pdf", one_page_pdf(text), "application/pdf"


def text_file(name: str = "báo cáo.txt") -> tuple[str, str, bytes, str]:
    return "document", name, ("Nội dung " + name).encode() * 100, "text/plain"


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-500:]} {done.stderr[-1500:]}"
    return done.stdout + done.stderr


def openssl_verify(folder: Path, container: bytes, content: bytes | None, *more: str) -> bytes:
    (folder / "container").write_bytes(container)
    given: list[str] = ["-binary", "-inform", "DER", *more]
    if content is not None:
        (folder / "content").write_bytes(content)
        given += ["-content", "content"]
    run(folder, "openssl", "cms", "-verify", "-in", "container", "-CAfile", "root.pem", "-certfile", "issuing.pem",
        "-purpose", "any", "-out", "verified", *given)  # fmt: skip
    return (folder / "verified").read_bytes()


def xmlsec1_verify(folder: Path, signature: bytes, *more: str) -> None:
    (folder / "signed.xml").write_bytes(signature)
    run(folder, "xmlsec1", "--verify", "--enabled-key-data", "x509", "--trusted-pem", "root.pem", "--untrusted-pem",
        "issuing.pem", *more, "signed.xml")  # fmt: skip


def verdicts(folder: Path, signed: bytes) -> list[str]:
    file = folder / "signed.pdf"
    file.write_bytes(signed)
    return [one["Signature Validation"] for one in pdfsig(file)]


def openssl_ts_verify(folder: Path, signed: bytes) -> None:
    """Verify the document time-stamp, which pdfsig does not, over its byte range."""
    token, covered = pdf_signature_parts(signed)
    (folder / "token").write_bytes(token)
    (folder / "covered").write_bytes(covered)
    run(folder, "openssl", "ts", "-verify", "-in", "token", "-token_in", "-data", "covered", "-CAfile", "root.pem",
        "-untrusted", "issuing.pem")  # fmt: skip


def lay_out(document: bytes, prepared: dict[str, Any]) -> tuple[PreparedByteRangeDigest, BytesIO]:
    """Do what docs/hash-only.md shows: write a field with room for the CMS; return digest and file."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "hash-only.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the page's own words are what is tested
    laid_out, output = names["lay_out"](document, prepared)
    return laid_out, output


def fetch_anchors(world: World, folder: Path) -> None:
    """Write root.pem and issuing.pem, as anybody can fetch them."""
    for ca in ("root", "issuing"):
        (folder / f"{ca}.der").write_bytes(world.http.get(f"/pki/aia/{ca}.cer").content)
        run(folder, "openssl", "x509", "-inform", "DER", "-in", f"{ca}.der", "-out", f"{ca}.pem")
