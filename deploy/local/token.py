"""SoftHSM2 tokens for one machine: `kyso-documents` for signing keys, `kyso-authority` for the CA's.

Each has its own random PIN in a file that only this user may read. A production platform names its HSM's own module
and tokens instead; nothing here runs there.
"""

from __future__ import annotations

import os
import pty
import secrets
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.local.console import PlatformError
from deploy.local.secretfiles import read_secret, write_secret
from deploy.local.tools import Program, Tools

DOCUMENTS = "kyso-documents"
AUTHORITY = "kyso-authority"
INIT_SECONDS = 20
PROMPTS = 4


@dataclass(frozen=True, slots=True)
class TokenStore:
    """Where the tokens are and how a process reaches them."""

    module: Path
    configuration: Path
    pins: dict[str, Path]
    library_path: str

    def environment(self) -> dict[str, str]:
        """What the signer's process needs besides its settings: SoftHSM2 reads its store from here."""
        extra = {"SOFTHSM2_CONF": str(self.configuration)}
        if self.library_path:
            extra["LD_LIBRARY_PATH"] = self.library_path
        return extra


def provide_tokens(tools: Tools, folder: Path) -> TokenStore:
    """Make both tokens below `folder` unless they are there already."""
    store = folder / "tokens"
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {store}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        encoding="utf-8",
    )
    module = tools.softhsm_module()
    found = TokenStore(
        module=module,
        configuration=configuration,
        pins={label: folder / f"{label}.pin" for label in (DOCUMENTS, AUTHORITY)},
        library_path=tools.libraries_of(module),
    )
    for label, pin_file in found.pins.items():
        done = folder / f"{label}.ready"
        if not done.exists():
            # An initialisation that was cut off left a token without keys: it would make the label ambiguous.
            _delete(tools.softhsm_util(), found, label)
            pin = write_secret(pin_file, secrets.token_hex(16))
            officer = write_secret(folder / f"{label}.so-pin", secrets.token_hex(16))
            _initialise(tools.softhsm_util(), found, label, pin, officer)
            done.touch()
        read_secret(pin_file)
    return found


def _delete(util: Program, store: TokenStore, label: str) -> None:
    command = [str(util.path), "--delete-token", "--token", label, "--module", str(store.module)]
    subprocess.run(
        command, env={**util.environment(), **store.environment()}, check=False, timeout=INIT_SECONDS,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _initialise(util: Program, store: TokenStore, label: str, pin: str, officer: str) -> None:
    """Run softhsm2-util on a terminal of its own and answer its prompts: a PIN in argv could be read by anyone."""
    command = [str(util.path), "--init-token", "--free", "--label", label, "--module", str(store.module)]
    try:
        master, slave = pty.openpty()
    except OSError as missing:
        raise PlatformError(f"softhsm2-util asks for PINs on a terminal, and none can be made here ({missing}): "
                            "mount devpts at /dev/pts and run the same command again") from missing  # fmt: skip
    try:
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env={**util.environment(), **store.environment()},
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(slave)
    said = b""
    answers = [officer, officer, pin, pin]
    deadline = time.monotonic() + INIT_SECONDS
    try:
        while time.monotonic() < deadline:
            readable, _, _ = select.select([master], [], [], 0.2)
            if readable:
                try:
                    said += os.read(master, 4096)
                except OSError:
                    # Linux says EIO when the other end of a pty is closed: the program has ended.
                    break
            if answers and said.count(b"enter") > PROMPTS - len(answers):
                os.write(master, answers.pop(0).encode() + b"\n")
        process.wait(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        os.close(master)
    if process.returncode != 0:
        words = said.decode(errors="replace").replace(pin, "***").replace(officer, "***").strip()
        raise PlatformError(f"the token {label} could not be made; softhsm2-util said:\n{words}")
