"""What a process that parses hostile documents gives up before it sees the first. Linux; nothing of it needs root.

Always: memory, descriptors, core dumps, life beyond the parent. Where the kernel has it: all files but the code
itself (Landlock, kernel 5.13), all networks (an empty network namespace; else TCP by Landlock, kernel 6.7).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path

FILES, NETWORK, TCP = "files", "network", "tcp"
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System call numbers: the same on every architecture (they came after the tables were joined)."""
_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_DESCRIPTORS = 64


class Unconfined(OSError):
    """A worker could not give up what the settings require it to."""


def limit_resources(memory_bytes: int) -> None:
    """Bound address space and descriptors, write no file and no core dump, leave Ctrl-C to the parent."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    # A terminal sends it to the whole group; the parent decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def leave_network() -> bool:
    """Move into an empty network namespace; False where the kernel or the container does not allow it."""
    return not _libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def die_with_parent() -> None:
    """Ask to be killed when the parent ends. After `leave_network`, which clears this."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def leave_files() -> frozenset[str]:
    """Open no file any more but the program's own code, and no TCP connection; return what the kernel could do."""
    libc = _libc()
    abi = int(libc.syscall(_CREATE_RULESET, None, 0, 1))
    if abi < 1 or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return frozenset()
    # Access rights by version: the first 13, then REFER, TRUNCATE, and from version 5 on IOCTL_DEV.
    files = (1 << (13, 14, 15, 15, 16)[min(abi, 5) - 1]) - 1
    attribute = struct.pack("=Q", files)
    if abi >= 4:
        attribute += struct.pack("=Q", 0b11)
    if abi >= 6:
        attribute += struct.pack("=Q", 0b11)
    ruleset = int(libc.syscall(_CREATE_RULESET, attribute, len(attribute), 0))
    if ruleset < 0:
        return frozenset()
    try:
        for folder in code_folders():
            _allow_reading(libc, ruleset, folder)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            return frozenset()
    finally:
        os.close(ruleset)
    return frozenset({FILES, TCP} if abi >= 4 else {FILES})


def require_confined(given_up: frozenset[str]) -> None:
    """Raise Unconfined where a worker still reaches files, or a network by TCP."""
    missing = [] if FILES in given_up else ["files (Landlock, Linux 5.13)"]
    if not given_up & {NETWORK, TCP}:
        missing.append("networks (network namespaces, or Landlock of Linux 6.7)")
    if missing:
        raise Unconfined(
            f"a document worker cannot give up {' and '.join(missing)}, as require_confinement asks: use another kernel"
        )


def code_folders() -> list[Path]:
    """Return where code may still be loaded from: the interpreter's libraries, and of this project `services` alone.

    The project's own folder is not among them: on a developer's machine the PIN files lie under it.
    """
    homes = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    folders = [Path(__file__).resolve().parents[2]]
    for entry in sys.path:
        path = Path(entry).resolve()
        if path.is_dir() and any(path.is_relative_to(home) for home in homes):
            folders.append(path)
    return folders


def _allow_reading(libc: ctypes.CDLL, ruleset: int, folder: Path) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, descriptor)
        if libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), f"the kernel refuses a rule for {folder}")
    finally:
        os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
