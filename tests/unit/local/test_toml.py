import tomllib
from pathlib import Path

from deploy.local.toml import Section, toml_text


def test_settings_come_back_as_they_were_written() -> None:
    settings: Section = {
        "name": 'quoted "tên", a back\\slash, a tab\t and a bell\x07',
        "del": "\x7f",
        "count": 3,
        "ratio": 0.5,
        "wanted": True,
        "servers": ["tls://127.0.0.1:4222", "b"],
        "keys": [{"name": "root", "create": True}, {"name": "issuing", "create": False}],
        "tls": {"ca_file": Path("/etc/ca.pem"), "nested": {"deep": 1}},
        "empty_above": {"only": {"below": False}},
    }
    read = tomllib.loads(toml_text(settings))
    assert read == {**settings, "tls": {"ca_file": "/etc/ca.pem", "nested": {"deep": 1}}}
