"""The cluster's three bus servers on this machine: the same configuration file, with its paths and addresses moved."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.bus import STREAMS
from services.kernel.runtime.config import BusSettings, StreamSettings
from tests.support.manifests import K8S
from tests.support.pki import MeshCa
from tests.support.rpc import free_port

STOP_SECONDS = 60
PLACEHOLDER = "$2a$11$replace-by-a-bcrypt-hash"
PASSWORD = "the password of every user of this test"
FOLDERS = ("etc/nats", "etc/nats-tls", "etc/nats-users", "data", "run/nats")
PROGRAM = Path(sys.executable).parent / "nats-server"


def lay_out(folder: Path, mesh_ca: MeshCa, accounts: str | None = None) -> Path:
    """Make below `folder` what a pod of the bus has mounted; return the configuration file.

    `accounts` is the text of accounts.conf; by default the example, with one password for all.
    """
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    tls = mesh_ca.tls("nats")
    shutil.copy(tls.certificate_file, folder / "etc/nats-tls/tls.crt")
    shutil.copy(tls.private_key_file, folder / "etc/nats-tls/tls.key")
    shutil.copy(tls.ca_file, folder / "etc/nats-tls/ca.crt")
    if accounts is None:
        accounts = (K8S / "accounts.example.conf").read_text(encoding="utf-8").replace(PLACEHOLDER, PASSWORD)
    (folder / "etc/nats-users/accounts.conf").write_text(accounts, encoding="utf-8")
    text = (K8S / "base/config/nats.conf").read_text(encoding="utf-8")
    configuration = folder / "etc/nats/nats.conf"
    configuration.write_text(text.replace('"/', f'"{folder}/'), encoding="utf-8")
    return configuration


LAME_DUCK = "Entering lame duck mode"


class NatsCluster:
    """Three servers, nats-0 to nats-2."""

    def __init__(self, folder: Path, mesh_ca: MeshCa) -> None:
        """Lay the servers out below `folder`; nothing runs yet."""
        self._folder, self._mesh_ca = folder, mesh_ca
        self.client_ports = [free_port() for _ in range(3)]
        routes = [free_port() for _ in range(3)]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._configurations = []
        for number in range(3):
            path = lay_out(folder / f"nats-{number}", mesh_ca)
            text = path.read_text(encoding="utf-8")
            text = text.replace('"0.0.0.0:4222"', f'"127.0.0.1:{self.client_ports[number]}"')
            text = text.replace('"0.0.0.0:6222"', f'"127.0.0.1:{routes[number]}"')
            text = text.replace('"0.0.0.0:8222"', '"127.0.0.1:-1"')
            for other in range(3):
                text = text.replace(f"nats-{other}.nats:6222", f"127.0.0.1:{routes[other]}")
            path.write_text(text, encoding="utf-8")
            self._configurations.append(path)
        self._password_file = folder / "password"
        self._password_file.write_text(PASSWORD, encoding="utf-8")

    def start(self) -> None:
        """Start all three."""
        for number, path in enumerate(self._configurations):
            with (self._folder / f"nats-{number}" / "log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [PROGRAM, "-c", path], env={"POD_NAME": f"nats-{number}"}, stderr=log, stdout=log
                    )
                )

    def drain(self, number: int) -> int:
        """End one as the cluster does, by its preStop command and then SIGTERM; return its exit code."""
        pid_file = self._folder / f"nats-{number}" / "run/nats/nats.pid"
        subprocess.run([PROGRAM, "--signal", f"ldm={pid_file}"], check=True, timeout=STOP_SECONDS)
        # Between the two the kubelet asks the container's runtime, which takes longer than a signal on a busy machine.
        limit = time.monotonic() + STOP_SECONDS
        while LAME_DUCK not in self.log(number) and time.monotonic() < limit:
            time.sleep(0.01)
        process = self._processes[number]
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def log(self, number: int) -> str:
        """Return what one has said."""
        return (self._folder / f"nats-{number}" / "log").read_text(encoding="utf-8", errors="replace")

    def settings(self, user: str) -> BusSettings:
        """Return settings as the cluster's, with these addresses."""
        return BusSettings(
            servers=tuple(f"tls://127.0.0.1:{port}" for port in self.client_ports),
            user=user,
            password_file=self._password_file,
            ca_file=self._mesh_ca.ca_file,
            replicas=3,
            streams=StreamSettings.model_validate({"made_here": STREAMS[user]}),
            publish_timeout_seconds=5,
        )

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_SECONDS)


@contextmanager
def running_nats_cluster(folder: Path, mesh_ca: MeshCa) -> Iterator[NatsCluster]:
    """Run the three servers until the block ends."""
    cluster = NatsCluster(folder, mesh_ca)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
