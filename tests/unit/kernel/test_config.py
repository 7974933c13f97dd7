from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from services.kernel.runtime.config import (
    ConfigError,
    ProcessSettings,
    RpcServerSettings,
    Settings,
    TelemetrySettings,
    load,
    read_secret,
    split_address,
)


class Pool(Settings):
    workers: int = Field(default=2, ge=1)
    pin_file: Path


class Whole(ProcessSettings):
    pool: Pool


GOOD = """
[telemetry]
http_listen = "127.0.0.1:9011"
[pool]
pin_file = "pin"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_complete_file_gives_frozen_settings_with_defaults(tmp_path: Path) -> None:
    settings = load(Whole, write(tmp_path, GOOD))
    assert settings.pool.workers == 2
    assert settings.telemetry == TelemetrySettings(http_listen="127.0.0.1:9011")
    with pytest.raises(ValueError, match="frozen"):
        settings.pool.workers = 3  # type: ignore[misc]


def test_every_wrong_key_is_named_and_no_value_is_shown(tmp_path: Path) -> None:
    text = GOOD.replace("[pool]", '[pool]\nworkers = 0\npin = "tops3cret"\n') + "[extra]\nx = 1\n"
    with pytest.raises(ConfigError) as caught:
        load(Whole, write(tmp_path, text))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "pool.workers",
        "pool.pin",
        "extra",
    ]
    assert "tops3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[telemetry", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (b"#" * (1024 * 1024 + 1), "larger than"),
        (b"", "telemetry: Field required"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        load(Whole, path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load(Whole, tmp_path / "nowhere.toml")


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:x", "host:65536", "host:-1", "host:١"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_address(address)


def test_addresses_of_both_families_are_split() -> None:
    assert split_address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert split_address("[::1]:7011") == ("::1", 7011)


def test_a_secret_loses_its_newline_and_does_not_print(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.write_text("pass word \r\n", encoding="utf-8")
    secret = read_secret(path)
    assert secret.get_secret_value() == "pass word "
    assert "pass" not in repr(secret)


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * (64 * 1024 + 1), b"\xffhunter2"])
def test_an_unusable_secret_file_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="secret file") as caught:
        read_secret(path)
    assert "hunter2" not in str(caught.value)


def test_a_message_limit_below_one_kibibyte_is_refused() -> None:
    tls = {"certificate_file": "c", "private_key_file": "k", "ca_file": "a"}
    with pytest.raises(ValueError, match="max_message_bytes"):
        RpcServerSettings.model_validate({"listen": "127.0.0.1:0", "tls": tls, "max_message_bytes": 1})
