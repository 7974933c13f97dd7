"""Compile the contract to a descriptor image and ask buf about it; no network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
PUBLISHED = PROTO / "published.binpb"

_LINT = {
    "version": "v2",
    "lint": {
        "use": ["STANDARD", "COMMENTS"],
        # Resources answer themselves, and a document stream is one message for three RPCs (Google's AIP-131 to 135).
        "except": ["RPC_REQUEST_RESPONSE_UNIQUE", "RPC_REQUEST_STANDARD_NAME", "RPC_RESPONSE_STANDARD_NAME"],
        "ignore": ["google"],
    },
}
_BREAKING = {"version": "v2", "breaking": {"use": ["FILE"]}}


def compile_contract(target: Path, replace: tuple[str, str, str] | None = None) -> Path:
    """Write the image of proto/kyso/v1 to `target`; `replace` = (file name, old text, new text) changes a copy."""
    source = PROTO
    if replace is not None:
        name, old, new = replace
        source = target.parent / "changed"
        shutil.copytree(PROTO / "kyso", source / "kyso")
        changed = source / "kyso" / "v1" / name
        text = changed.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}: the test is out of date"
        changed.write_text(text.replace(old, new), encoding="utf-8")
    files = sorted(str(path) for path in (source / "kyso" / "v1").glob("*.proto"))
    options = [f"-I{source}", "--include_imports", "--include_source_info", f"--descriptor_set_out={target}"]
    include = Path(protoc.__file__).parent / "_proto"
    if protoc.main(["protoc", *options, f"-I{include}", *files]) != 0:
        raise AssertionError("the contract does not compile")
    return target


def _buf(*arguments: str) -> list[str]:
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    assert buf is not None, "buf is missing: run `make install`"
    done = subprocess.run([buf, *arguments], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert (done.returncode == 0) == (not lines), lines
    return lines


def lint(image: Path) -> list[str]:
    """Return buf's complaints about form and comments."""
    return _buf("lint", str(image), "--config", json.dumps(_LINT))


def breaking(image: Path, against: Path) -> list[str]:
    """Return what `image` breaks for those who use `against`."""
    return _buf("breaking", str(image), "--against", str(against), "--config", json.dumps(_BREAKING))
