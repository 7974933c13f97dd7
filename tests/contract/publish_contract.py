"""Publish the contract as it stands: `python tests/contract/publish_contract.py`.

Writes proto/published.binpb, the image that later changes are compared with. Refuses a change that breaks the image
published before.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.contract import PUBLISHED, breaking, compile_contract


def main() -> int:
    """Return 0 when published, 1 when refused."""
    with tempfile.TemporaryDirectory() as folder:
        image = compile_contract(Path(folder) / "current.binpb")
        complaints = breaking(image, PUBLISHED) if PUBLISHED.exists() else []
        for line in complaints:
            sys.stderr.write(line + "\n")
        if complaints:
            return 1
        PUBLISHED.write_bytes(image.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
