"""A process that confines itself as document workers do and then tries what it should not reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROBE = """
import json, os, socket, sys
from services.kernel.runtime import confinement
confinement.limit_resources(1 << 30)
given_up = {"network"} if confinement.leave_network() else set()
confinement.die_with_parent()
given_up |= confinement.leave_files()
read_end, write_end = os.pipe()
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
    "pipe": reaches(lambda: os.write(write_end, b"x")),
    "code": reaches(lambda: open(confinement.__file__).close()),
}
import decimal
print(json.dumps([sorted(given_up), found]))
"""


def probe(secret: Path, port: int) -> tuple[set[str], dict[str, bool]]:
    """Confine a process; return what it says it gave up, and what it reaches afterwards."""
    command = [sys.executable, "-c", PROBE, str(secret), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    given_up, reached = json.loads(done.stdout)
    return set(given_up), reached
