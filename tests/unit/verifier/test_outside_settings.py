"""Settings about hosts outside: what they cover, and what is refused at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.kernel.runtime.config import ConfigError, parse
from services.verifier.config import OutsideHostSettings, VerifierSettings
from services.verifier.egress.hosts import EgressError, target_of
from services.verifier.egress.time_stamps import TimeStampRelay

TLS = {"certificate_file": "a", "private_key_file": "b", "ca_file": "c"}
BASE: dict[str, Any] = {
    "telemetry": {"http_listen": "127.0.0.1:0"},
    "rpc": {"listen": "127.0.0.1:0", "tls": TLS},
    "registry": {"target": "registry:7000", "server_name": "registry", "tls": TLS},
}
HOSTS = (
    OutsideHostSettings(name="ocsp.example.vn"),
    OutsideHostSettings(name=".ca.example.vn", ports=(80,)),
    OutsideHostSettings(name="xn--1bar-3ra.vn"),
)


@pytest.mark.parametrize(
    "url",
    [
        "http://ocsp.example.vn",
        "https://OCSP.Example.VN/path?query",
        "http://ocsp.example.vn./",
        "http://a.ca.example.vn/x.crl",
        "http://a.b.ca.example.vn/",
    ],
)
def test_hosts_on_the_list(url: str) -> None:
    assert target_of(url, HOSTS).host.endswith("example.vn")


@pytest.mark.parametrize(
    "url",
    [
        "http://ca.example.vn/",
        "https://a.ca.example.vn/",
        "http://ocsp.example.vn:8080/",
        "http://ocsp.example.vn:0/",
        "http://xocsp.example.vn/",
        "http://evilca.example.vn/",
        "http://ocsp.example.vn.evil.test/",
        "http://ocsp.example.vn@evil.test/",
        "http://evil.test/#ocsp.example.vn",
        "http://evil.test\\@ocsp.example.vn/",
        "http://evil.test%2F.ca.example.vn/",
        "http://ocsp.example.vn\t.evil.test/",
        "file:///etc/passwd",
        "gopher://ocsp.example.vn/",
        "//ocsp.example.vn/",
        "ocsp.example.vn",
        "http:///x",
        "http://" + "a" * 2048 + ".ca.example.vn/",
    ],
)
def test_addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(EgressError, match="NOT_ALLOWED"):
        target_of(url, HOSTS)


@pytest.mark.parametrize(
    ("outside", "why"),
    [
        ({"egress": {"hosts": [{"name": ".vn", "private_address": True}]}}, "whole name"),
        ({"egress": {"hosts": [{"name": "Host.vn"}]}}, "pattern"),
        ({"egress": {"hosts": [{"name": "*.vn"}]}}, "pattern"),
        ({"egress": {"hosts": [{"name": "a.vn", "ports": [0]}]}}, "greater than or equal to 1"),
        ({"time_stamp_authorities": [{"name": "a", "url": "https://tsa.vn/"}]}, "stand in egress.hosts"),
        ({"time_stamp_authorities": [{"name": "a", "url": "ftp://tsa.vn/"}]}, "pattern"),
        (
            {
                "egress": {"hosts": [{"name": "tsa.vn"}]},
                "time_stamp_authorities": [{"name": "a", "url": "https://tsa.vn/"}] * 2,
            },
            "name of its own",
        ),
        (
            {
                "egress": {"hosts": [{"name": "tsa.vn"}]},
                "time_stamp_authorities": [{"name": "a", "url": "https://tsa.vn/", "user": "u"}],
            },
            "belong together",
        ),
        (
            {
                "egress": {"hosts": [{"name": "tsa.vn"}]},
                "time_stamp_authorities": [
                    {"name": "a", "url": "http://tsa.vn/", "user": "u", "password_file": "p"}
                ],
            },
            "https only",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(outside: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(VerifierSettings, BASE | outside)


def test_nothing_outside_is_asked_unless_the_settings_say_so() -> None:
    settings = parse(VerifierSettings, BASE)
    assert settings.egress.hosts == ()
    assert settings.time_stamp_authorities == ()


def test_a_password_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    authority = {"name": "a", "url": "https://tsa.vn/", "user": "u", "password_file": str(tmp_path / "none")}
    outside = {"egress": {"hosts": [{"name": "tsa.vn"}]}, "time_stamp_authorities": [authority]}
    settings = parse(VerifierSettings, BASE | outside)
    with pytest.raises(ConfigError, match="secret file"):
        TimeStampRelay(None, settings.time_stamp_authorities)  # type: ignore[arg-type]
