"""The whole platform for tests and benchmarks: real processes, real bus, real token, in a folder of its own.

The settings are those of `deploy/local`, with what a test changes laid over them. Nothing restarts by itself: a test
kills and starts what it means to.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.local import processes
from deploy.local.bus import provide_bus
from deploy.local.pki import Identity, provide_mesh
from deploy.local.processes import Provisions
from deploy.local.settings import HOST, Ports, Settings, load
from deploy.local.token import provide_tokens
from deploy.local.toml import toml_text
from deploy.local.tools import FONT_FILE, ROOT, Tools
from services.kernel.runtime.config import DatabaseSettings, RpcClientSettings, TlsSettings
from tests.support.outside_ca import OutsideCa

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02

Overrides = Mapping[str, Any]
"""Settings laid over a service's own, section by section."""


class EndedBeforeReady(AssertionError):
    """A process that was started ended before it was ready."""


@dataclass
class Process:
    """One process of the platform."""

    name: str
    command: list[str]
    ready_url: str
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; only while it runs."""
        assert self.popen is not None, f"{self.name} does not run"
        return self.popen.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until it is ready."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        if wait:
            self.await_ready()

    def await_ready(self) -> float:
        """Wait until /readyz says yes; return the seconds that it took."""
        began = time.monotonic()
        reason = "no answer"
        while time.monotonic() - began < READY_SECONDS:
            assert self.popen is not None
            if self.popen.poll() is not None:
                raise EndedBeforeReady(f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}")
            try:
                answer = httpx.get(self.ready_url, timeout=3, trust_env=False)
                if answer.is_success:
                    return time.monotonic() - began
                reason = answer.text
            except httpx.HTTPError:
                pass
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"{self.name} is not ready: {reason}\n{self.tail()}")

    def await_end(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for it to end by itself; return the exit code."""
        assert self.popen is not None
        return self.popen.wait(seconds)

    def reload(self) -> None:
        """SIGHUP: read the configuration again."""
        os.kill(self.pid, signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int | None:
        """SIGTERM and wait; SIGKILL past the limit. Return the exit code, None where it did not run."""
        if self.popen is None or self.popen.poll() is not None:
            return None if self.popen is None else self.popen.returncode
        self.popen.send_signal(signal.SIGCONT)
        self.popen.terminate()
        try:
            return self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not stop within {STOP_SECONDS:.0f} s:\n{self.tail()}"
            ) from None

    def tail(self, lines: int = 25) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def cpu_seconds(self) -> float:
        """Return the CPU time of this process and its living children, user and system."""
        process = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))


@dataclass(frozen=True)
class Layout:
    """What a test platform is made of."""

    signers: int = 1
    databases: Mapping[str, DatabaseSettings] = field(default_factory=dict)
    """By "signer" and "registry"; SQLite files where not given."""
    overrides: Mapping[str, Overrides] = field(default_factory=dict)
    """By service, also "signer-2"; laid over the one-machine settings."""


class TestPlatform:
    """The processes of one platform, by name: nats, registry, signer-1…, verifier, gateway."""

    __test__ = False

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Provide everything below `folder` and write the settings; nothing runs yet."""
        self.folder = folder
        self.layout = layout
        tools = Tools()
        base = load("demo")
        self.settings: Settings = replace(
            base, state=folder, logs=folder / "log", ports=_free_ports(base.ports)
        )
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        self.mesh: dict[str, Identity] = provide_mesh(folder / "mesh")
        self.provisions = Provisions(
            tools.nats_server(),
            provide_tokens(tools, folder / "hsm"),
            self.mesh,
            provide_bus(folder / "bus", self.mesh["nats"], self.settings.ports, None),
            tools.serif_fonts() / FONT_FILE,
        )
        self.outside_ca = OutsideCa()
        """Trusted by the registry besides its own CA."""
        self._anchor = self.outside_ca.write_root(folder / "outside-anchor.pem")
        self.signer_ports = [_free_ports(base.ports) for _ in range(layout.signers - 1)]
        self.processes: dict[str, Process] = {}
        self._describe()

    @property
    def url(self) -> str:
        """Address of the gateway."""
        return processes.public_url(self.settings.ports)

    @property
    def signers(self) -> list[Process]:
        """The signers' processes."""
        return [process for name, process in self.processes.items() if name.startswith("signer")]

    def start(self) -> None:
        """Start every process; registry and signer need each other, so both are started before either is waited for."""
        for process in self.processes.values():
            process.start(wait=process.name == "nats")
        for process in self.processes.values():
            process.await_ready()

    def stop(self) -> None:
        """Stop every process in the reverse order, whatever happens to one."""
        failures = []
        for process in reversed(self.processes.values()):
            try:
                process.stop()
            except AssertionError as error:
                failures.append(str(error))
        assert not failures, "\n".join(failures)

    def configure(self, name: str, overrides: Overrides) -> None:
        """Write the settings of one process anew, with `overrides` laid over; it takes effect at its next start."""
        path = self.folder / "config" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(toml_text(_merged(self._section(name), overrides)), encoding="utf-8")

    def channel(
        self, caller: str, server: str, *, signer: int = 1, timeout: float = 30.0
    ) -> RpcClientSettings:
        """Return settings for calling `server` ("signer", "registry", "verifier") as the mesh's `caller`."""
        ports = self.settings.ports if signer == 1 else self.signer_ports[signer - 2]
        identity = self.mesh[caller]
        tls = TlsSettings(
            certificate_file=identity.certificate, private_key_file=identity.private_key, ca_file=identity.ca
        )
        target = f"{HOST}:{getattr(ports, f'{server}_rpc')}"
        return RpcClientSettings(target=target, server_name=server, tls=tls, timeout_seconds=timeout)

    def metrics(self, name: str) -> str:
        """Return what /metrics of a process says."""
        url = self.processes[name].ready_url.replace("/readyz", "/metrics")
        return httpx.get(url, timeout=10, trust_env=False).text

    def reload_bus(self) -> None:
        """Have the bus read its configuration again, and wait until it has."""
        before = self._bus_configured_at()
        self.processes["nats"].reload()
        deadline = time.monotonic() + READY_SECONDS
        while self._bus_configured_at() == before:
            assert time.monotonic() < deadline, "the bus did not read its configuration again"
            time.sleep(POLL_SECONDS)

    def _bus_configured_at(self) -> str:
        url = f"http://{HOST}:{self.settings.ports.bus_monitor}/varz"
        return str(httpx.get(url, timeout=5, trust_env=False).json()["config_load_time"])

    def _describe(self) -> None:
        ports, provisions = self.settings.ports, self.provisions
        self._add("nats", [str(provisions.nats_server), "--config", str(provisions.bus.configuration)],
                  f"http://{HOST}:{ports.bus_monitor}/healthz")  # fmt: skip
        self._service("registry", "services.registry", ports.registry_metrics)
        signers = [ports, *self.signer_ports]
        for number, own in enumerate(signers, start=1):
            self._service(
                f"signer-{number}", "services.signer", own.signer_metrics, provisions.tokens.environment()
            )
        self._service("verifier", "services.verifier", ports.verifier_metrics)
        self._service("gateway", "gateway", ports.gateway_metrics)

    def _service(
        self, name: str, module: str, port: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.configure(name, {})
        path = self.folder / "config" / f"{name}.toml"
        command = [sys.executable, "-m", module, "--config", str(path)]
        python = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._add(name, command, f"http://{HOST}:{port}/readyz", python | dict(environment or {}))

    def _add(
        self, name: str, command: list[str], url: str, environment: dict[str, str] | None = None
    ) -> None:
        log = self.settings.logs / f"{name}.log"
        self.processes[name] = Process(name, command, url, log, environment or {})

    def _section(self, name: str) -> dict[str, Any]:
        kind, _, number = name.partition("-")
        section: dict[str, Any] = deepcopy(dict(getattr(processes, kind)(self.settings, self.provisions)))
        if number:
            own = ([self.settings.ports, *self.signer_ports])[int(number) - 1]
            section = _merged(section, {
                "replica": name,
                "rpc": {"listen": f"{HOST}:{own.signer_rpc}"},
                "telemetry": {"http_listen": f"{HOST}:{own.signer_metrics}"},
            })  # fmt: skip
        if kind == "registry":
            section = _merged(section, {"ca": {"outside_anchor_files": [str(self._anchor)]}})
        if kind in self.layout.databases:
            database = self.layout.databases[kind]
            section["database"] = {"url": database.url, "pool_size": 4, "migrate_at_start": True}
        section = _merged(section, self.layout.overrides.get(kind, {}))
        return _merged(section, self.layout.overrides.get(name, {})) if number else section


def _merged(base: Mapping[str, Any], over: Overrides) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        known = out.get(key)
        out[key] = (
            _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
        )
    return out


def _free_ports(ports: Ports) -> Ports:
    # Binding to port 0 for each: `with_free_ones` keeps a port that is free now, and two platforms would then share it.
    taken = Ports(*(0 for _ in range(len(ports.__dataclass_fields__))))
    return replace(taken, **_bound_ports(list(ports.__dataclass_fields__)))


def _bound_ports(names: list[str]) -> dict[str, int]:
    sockets = [socket.socket() for _ in names]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
    finally:
        for each in sockets:
            each.close()


@contextmanager
def running_platform(folder: Path, layout: Layout | None = None) -> Iterator[TestPlatform]:
    """Run a platform below `folder` until the block ends."""
    platform = TestPlatform(folder, layout or Layout())
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
