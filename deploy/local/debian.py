"""Bring Debian packages here: installed where we are root, unpacked below a folder where we are not.

Standard library only: the installation runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.console import PlatformError

# A slow mirror is waited for, a dead one is not.
DOWNLOAD_SECONDS = 600
TAIL_LINES = 12


class DebianPackages:
    """Fetches packages with apt and dpkg. Does not know any other package manager."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where packages are kept and unpacked for a user who may not install."""
        self._folder = folder
        self.root = folder / "root"

    def provide(self, *packages: str) -> None:
        """Install `packages`, or unpack them with what they need below `self.root`.

        Raises PlatformError with apt's own words when they cannot be had.
        """
        for tool in ("apt-get", "dpkg"):
            if shutil.which(tool) is None:
                raise PlatformError(
                    f"{', '.join(packages)} is missing and there is no {tool} to fetch it with: "
                    "install it with this system's package manager and run the same command again"
                )
        if os.geteuid() == 0:
            self._install(packages)
        else:
            self._unpack(packages)

    def library_path(self) -> str:
        """Folders with the unpacked shared libraries, as LD_LIBRARY_PATH wants them; empty if none."""
        return ":".join(
            str(path)
            for path in (
                *sorted(self.root.glob("usr/lib/*-linux-gnu*")),
                *sorted(self.root.glob("lib/*-linux-gnu*")),
            )
        )

    def find(self, *patterns: str) -> Path | None:
        """First file that matches one of `patterns` in the system or among the unpacked packages.

        Patterns are relative to the root of a file system, such as `usr/bin/pdfsig`.
        """
        for base in (Path("/"), self.root):
            for pattern in patterns:
                for path in sorted(base.glob(pattern)):
                    if path.is_file():
                        return path
        return None

    def _install(self, packages: tuple[str, ...]) -> None:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
        if _run(command, environment).returncode == 0:
            return
        # The usual reason: package lists that are missing or old.
        _checked(["apt-get", "update", "-q"], environment, packages)
        _checked(command, environment, packages)

    def _unpack(self, packages: tuple[str, ...]) -> None:
        archives = self._folder / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        options: list[str] = []
        if not self._known(packages, options):
            # No package lists on this machine: keep lists of our own.
            options = [f"-oDir::State={self._folder / 'apt'}", f"-oDir::Cache={self._folder / 'apt-cache'}",
                       "-oDir::State::status=/var/lib/dpkg/status"]  # fmt: skip
            (self._folder / "apt" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
            (self._folder / "apt-cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
            _checked(["apt-get", *options, "update", "-q"], None, packages)
        names = self._with_dependencies(packages, options)
        _checked(["apt-get", *options, "download", "-q", *names], None, packages, cwd=archives)
        for archive in sorted(archives.glob("*.deb")):
            _checked(["dpkg", "-x", str(archive), str(self.root)], None, packages)
            archive.unlink()

    @staticmethod
    def _known(packages: tuple[str, ...], options: list[str]) -> bool:
        return (
            _run(["apt-get", *options, "install", "-s", "--no-install-recommends", *packages]).returncode == 0
        )

    @staticmethod
    def _with_dependencies(packages: tuple[str, ...], options: list[str]) -> list[str]:
        """Names of `packages` and of whatever they need that this system does not have yet."""
        done = _checked(
            ["apt-get", *options, "install", "-s", "--no-install-recommends", *packages], None, packages
        )
        names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]
        return names or list(packages)


def _run(
    command: list[str], environment: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    plain = {**(environment or os.environ), "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, env=plain, cwd=cwd, check=False, text=True, timeout=DOWNLOAD_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise PlatformError(f"`{' '.join(command[:2])}` did not end within {DOWNLOAD_SECONDS} s") from late


def _checked(
    command: list[str], environment: dict[str, str] | None, packages: tuple[str, ...], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = _run(command, environment, cwd)
    if done.returncode != 0:
        words = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise PlatformError(
            f"{', '.join(packages)} could not be fetched: `{' '.join(command[:2])}` said:\n{words}\n"
            f"Install it yourself (as root: apt-get install {' '.join(packages)}) and run the same command again."
        )
    return done
