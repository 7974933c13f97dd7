"""What a person may set for the one-machine platform: `deploy/local/platform.toml`, and which folder holds its state."""

from __future__ import annotations

import socket
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

from deploy.local.console import PlatformError
from deploy.local.tools import VAR

FILE = Path(__file__).with_name("platform.toml")
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1, each named as in `[ports]` of the settings file."""

    gateway_http: int
    gateway_metrics: int
    signer_rpc: int
    signer_metrics: int
    verifier_rpc: int
    verifier_metrics: int
    registry_rpc: int
    registry_metrics: int
    bus: int
    bus_monitor: int

    def taken(self) -> list[str]:
        """Names of the ports that another process listens on now."""
        return [field.name for field in fields(self) if not _is_free(getattr(self, field.name))]

    def require_free(self) -> None:
        """Raise PlatformError that names each taken port and the setting that moves it."""
        taken = self.taken()
        if taken:
            lines = [
                f"port {getattr(self, name)} is taken: stop what listens there, or change {name} in [ports]"
                for name in taken
            ]
            raise PlatformError("\n".join([*lines, f"The settings are in deploy/local/{FILE.name}."]))

    def with_free_ones(self) -> Ports:
        """The same ports, with a free one instead of each that is taken."""
        taken = self.taken()
        # All sockets stay bound until every port was given: the same one must not be given twice.
        sockets = [socket.socket() for _ in taken]
        try:
            for held in sockets:
                held.bind((HOST, 0))
            return replace(
                self, **{name: held.getsockname()[1] for name, held in zip(taken, sockets, strict=True)}
            )
        finally:
            for held in sockets:
                held.close()


@dataclass(frozen=True, slots=True)
class Workers:
    """How many worker processes the signer starts."""

    document_token_workers: int
    authority_token_workers: int
    document_workers: int


@dataclass(frozen=True, slots=True)
class Settings:
    """One platform: where its state is, where it listens, how large it is."""

    state: Path
    logs: Path
    ports: Ports
    workers: Workers


def load(kind: str) -> Settings:
    """Settings of `kind`: "platform" (`make run`) or "demo", which has state and ports of its own.

    Raises PlatformError when the file has a key that is not known or a value that is no number.
    """
    try:
        raw = tomllib.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise PlatformError(f"{FILE.name} cannot be read: {wrong}") from wrong
    unknown = raw.keys() - {"ports", "signer"}
    if unknown:
        raise PlatformError(f"{FILE.name} has sections that nobody knows: {', '.join(sorted(unknown))}")
    ports = Ports(**_numbers(raw, "ports", Ports, 1, 65535))
    if kind == "demo":
        ports = Ports(**{field.name: _shifted(getattr(ports, field.name)) for field in fields(Ports)})
    workers = Workers(**_numbers(raw, "signer", Workers, 1, 64))
    state = VAR / ("demo-platform" if kind == "demo" else kind)
    return Settings(state=state, logs=VAR / "log" / kind, ports=ports, workers=workers)


def _numbers(
    raw: dict[str, object], section: str, model: type[Ports | Workers], low: int, high: int
) -> dict[str, int]:
    given = raw.get(section)
    names = {field.name for field in fields(model)}
    if not isinstance(given, dict) or given.keys() != names:
        raise PlatformError(f"[{section}] in {FILE.name} must have exactly: {', '.join(sorted(names))}")
    for name, value in given.items():
        if type(value) is not int or not low <= value <= high:
            raise PlatformError(f"{section}.{name} in {FILE.name} must be a number from {low} to {high}")
    return given


DEMO_SHIFT = 10000


def _shifted(port: int) -> int:
    # A platform that `make run` started may be up beside the demo's own.
    return port + DEMO_SHIFT if port + DEMO_SHIFT <= 65535 else port - DEMO_SHIFT


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port whose last connections are only fading is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
