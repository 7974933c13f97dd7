"""Where the command takes its settings from, and what it says when they do not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from kyso_client import ClientSecret, PrivateKey
from kyso_client.cli import parser
from kyso_client.settings import SettingsError, load


def file_in(folder: Path, text: str) -> dict[str, str]:
    path = folder / "kyso" / "config.toml"
    path.parent.mkdir()
    path.write_text(text)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_the_nearest_setting_wins(tmp_path: Path) -> None:
    environment = file_in(tmp_path, 'url = "http://file"\nclient_id = "file"\nclient_secret_file = "s"\n')
    environment["KYSO_CLIENT_ID"] = "environment"
    found = load({"url": "http://flag", "client_id": None}, environment=environment)
    assert (found.url, found.client_id, found.client_secret_file) == ("http://flag", "environment", "s")


def test_nothing_set_means_this_machine(tmp_path: Path) -> None:
    assert load({}, environment={"XDG_CONFIG_HOME": str(tmp_path)}).url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("text", ['secret = "in the file"', "url = 7", "url =", "\0"])
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml"):
        load({}, environment=file_in(tmp_path, text))


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        load({}, tmp_path / "missing.toml", {})


def test_a_secret_comes_from_its_file_and_does_not_print(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hidden words\n")
    proof = load({"client_id": "cl_1", "client_secret_file": str(tmp_path / "s")}, environment={}).proof()
    assert isinstance(proof, ClientSecret)
    assert "hidden" not in repr(proof)
    headers, _ = proof.request("http://x/oauth2/token")
    assert headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({}, "KYSO_CLIENT_ID"),
        ({"client_id": "cl_1"}, "KYSO_CLIENT_SECRET_FILE"),
        ({"client_id": "cl_1", "client_secret_file": "/nowhere/s"}, "/nowhere/s"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, flags: dict[str, str | None], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        load(flags, environment={"XDG_CONFIG_HOME": str(tmp_path)}).proof()


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="private key"):
        PrivateKey("cl_1", b"no key")


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for code in range(6):
        assert f"\n  {code}  " in text


def test_wrong_use_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["sign"])
    assert ended.value.code == 2
