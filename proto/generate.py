"""Generate the Python stubs of proto/kyso/v1, or check that the committed ones are what it would generate.

    python proto/generate.py           writes proto/gen
    python proto/generate.py --check   generates into a temporary folder, prints the differences, exits 1 if any
"""

from __future__ import annotations

import argparse
import difflib
import sys
import sysconfig
import tempfile
from pathlib import Path

PROTO = Path(__file__).resolve().parent
COMMITTED = PROTO / "gen"


def generate(target: Path) -> None:
    """Write messages, services and their type stubs for every `.proto` file below `target`."""
    import grpc_tools
    from grpc_tools import protoc

    sources = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "kyso").rglob("*.proto"))
    if not sources:
        raise SystemExit(f"no .proto files below {PROTO / 'kyso'}")
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        # google/protobuf comes with the compiler, google/rpc with googleapis-common-protos.
        f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
        f"--proto_path={sysconfig.get_path('purelib')}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out={target}",
        f"--mypy_grpc_out={target}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc refused the contract; its messages stand above")
    for folder in sorted({path.parent for path in target.rglob("*_pb2.py")}):
        while folder != target:
            (folder / "__init__.py").touch()
            folder = folder.parent


def files(folder: Path) -> dict[str, str]:
    """Map each generated file, by its path inside `folder`, to its text."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py*"))
        if "__pycache__" not in path.parts
    }


def differences() -> list[str]:
    """Compare the committed stubs with fresh ones; an empty list means that they are the same."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh, committed = files(Path(scratch)), files(COMMITTED)
    lines: list[str] = []
    for name in sorted(fresh.keys() | committed.keys()):
        old, new = committed.get(name, ""), fresh.get(name, "")
        if old != new or (name in fresh) != (name in committed):
            lines += [f"proto/gen/{name} is not what the contract generates:"]
            lines += list(difflib.unified_diff(old.splitlines(), new.splitlines(), "committed", "fresh", n=0))[:20]
    return lines


def main() -> int:
    """Entry point; the exit code is 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    if parser.parse_args().check:
        found = differences()
        print("\n".join(found) if found else "proto/gen is what the contract generates")
        return 1 if found else 0
    COMMITTED.mkdir(exist_ok=True)
    for stale in COMMITTED.rglob("*_pb2*"):
        stale.unlink()
    generate(COMMITTED)
    print(f"generated {len(files(COMMITTED))} files below proto/gen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
