"""A confined process keeps its word: what it says it gave up, it cannot reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from services.signer.document_confinement import code_folders
from services.signer.documents import DocumentWorkers

PROBE = """
import json, socket, sys
from services.signer import document_confinement as confinement
confinement.limit_resources(1 << 30)
given_up = {"network"} if confinement.leave_network() else set()
confinement.die_with_parent()
given_up |= confinement.leave_files()
def reaches(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True
def memory():
    try:
        bytes(2 << 30)
    except MemoryError as error:
        raise OSError from error
address = ("127.0.0.1", int(sys.argv[2]))
def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", address)
found = {
    "files": reaches(lambda: open(sys.argv[1]).close()),
    "writing": reaches(lambda: open(sys.argv[1] + ".new", "w").close()),
    "tcp": reaches(lambda: socket.create_connection(address, 5).close()),
    "network": reaches(datagram),
    "memory": reaches(memory),
    "code": reaches(lambda: open(confinement.__file__).close()),
}
import decimal
print(json.dumps([sorted(given_up), found]))
"""


def probe(secret: Path, port: int) -> tuple[set[str], dict[str, bool]]:
    command = [sys.executable, "-c", PROBE, str(secret), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    given_up, reached = json.loads(done.stdout)
    return set(given_up), reached


def test_what_is_given_up_cannot_be_reached(tmp_path: Path) -> None:
    import socket

    secret = tmp_path / "pin"
    secret.write_text("0000")
    with socket.create_server(("127.0.0.1", 0)) as server:
        given_up, reached = probe(secret, server.getsockname()[1])
    assert not [what for what in given_up if reached[what]]
    assert reached["code"]
    assert not reached["memory"]
    assert reached["writing"] is ("files" not in given_up)


def test_the_folder_of_secrets_on_a_developers_machine_is_not_code() -> None:
    state = Path(__file__).resolve().parents[3] / "var"
    assert not [folder for folder in code_folders() if state.is_relative_to(folder)]


async def test_workers_tell_what_they_gave_up(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("0000")
    given_up, _ = probe(tmp_path / "pin", 9)
    async with DocumentWorkers.open(workers=1) as pool:
        (worker,) = pool._running
        assert worker.given_up == given_up
