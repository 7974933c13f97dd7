import socket
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import settings
from deploy.local.console import PlatformError
from deploy.local.settings import HOST


def test_the_demo_shares_neither_state_nor_ports_with_the_platform() -> None:
    platform, demo = settings.load("platform"), settings.load("demo")
    assert platform.state != demo.state
    assert platform.logs != demo.logs
    first = {getattr(platform.ports, name) for name in platform.ports.__slots__}
    second = {getattr(demo.ports, name) for name in demo.ports.__slots__}
    assert len(first) == len(second) == len(platform.ports.__slots__)
    assert not first & second


def test_a_taken_port_is_named_with_the_setting_that_moves_it() -> None:
    ports = settings.load("demo").ports
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        taken = replace(ports, signer_rpc=port)
        with pytest.raises(
            PlatformError, match=rf"port {port} is taken.*signer_rpc in \[ports\](.|\n)*platform\.toml"
        ):
            taken.require_free()
        free = taken.with_free_ones()
    assert free.signer_rpc not in {0, port}
    assert "signer_rpc" in taken.taken() or free.gateway_http == taken.gateway_http


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ports]\nbus = 1\n", r"\[ports\].*must have exactly"),
        ("nonsense", "cannot be read"),
        ("[other]\n", "sections that nobody knows: other"),
        ("[ports]\n{all}bus = 70000\n", "ports.bus .* must be a number from 1 to 65535"),
        ("[ports]\n{all}bus = 'x'\n", "ports.bus .* must be a number"),
        ("[ports]\n{all}bus = true\n", "ports.bus .* must be a number"),
    ],
)
def test_a_wrong_settings_file_is_refused_with_what_is_wrong(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for name in settings.Ports.__slots__ if name != "bus"]
    others = "".join(f"{name} = {number}\n" for number, name in enumerate(names, 2000))
    file = tmp_path / "platform.toml"
    file.write_text(text.replace("{all}", others), encoding="utf-8")
    monkeypatch.setattr(settings, "FILE", file)
    with pytest.raises(PlatformError, match=said):
        settings.load("platform")
