"""Tokens as the local platform makes them, on real SoftHSM2."""

from __future__ import annotations

import secrets
import stat
import subprocess
from pathlib import Path

import pytest

from deploy.local.console import PlatformError
from deploy.local.token import AUTHORITY, DOCUMENTS, TokenStore, provide_tokens
from deploy.local.tools import Program, Tools


def labels(store: TokenStore) -> list[str]:
    util = Tools().softhsm_util()
    said = subprocess.run(
        [str(util.path), "--show-slots", "--module", str(store.module)],
        env={**util.environment(), **store.environment()}, check=True, capture_output=True, text=True, timeout=20,
    ).stdout  # fmt: skip
    return sorted(
        word for line in said.splitlines() if "Label:" in line and (word := line.split(":", 1)[1].strip())
    )


def test_both_tokens_are_made_once_with_pins_of_their_own(tmp_path: Path) -> None:
    store = provide_tokens(Tools(), tmp_path)
    assert labels(store) == sorted([AUTHORITY, DOCUMENTS])
    pins = {label: path.read_text(encoding="utf-8") for label, path in store.pins.items()}
    assert len(set(pins.values())) == 2
    again = provide_tokens(Tools(), tmp_path)
    assert labels(again) == sorted([AUTHORITY, DOCUMENTS])
    assert {label: path.read_text(encoding="utf-8") for label, path in again.pins.items()} == pins


def test_every_secret_is_readable_by_its_user_only(tmp_path: Path) -> None:
    provide_tokens(Tools(), tmp_path)
    files = [*tmp_path.glob("*.pin"), *tmp_path.glob("*.so-pin")]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700


def test_a_start_that_was_cut_off_leaves_no_second_token_with_the_same_label(tmp_path: Path) -> None:
    provide_tokens(Tools(), tmp_path)
    (tmp_path / f"{DOCUMENTS}.ready").unlink()
    assert labels(provide_tokens(Tools(), tmp_path)) == sorted([AUTHORITY, DOCUMENTS])


def test_a_tool_that_fails_is_quoted_without_the_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "softhsm2-util"
    script.write_text(
        "#!/bin/sh\necho please enter; read pin; echo the pin was $pin; exit 3\n", encoding="utf-8"
    )
    script.chmod(0o700)
    monkeypatch.setattr(Tools, "softhsm_util", lambda _: Program(script, ""))
    monkeypatch.setattr(secrets, "token_hex", lambda size: "5ec2e7" * size)
    with pytest.raises(PlatformError, match=r"could not be made(.|\n)*the pin was \*\*\*") as refused:
        provide_tokens(Tools(), tmp_path / "state")
    assert "5ec2e7" not in str(refused.value)
