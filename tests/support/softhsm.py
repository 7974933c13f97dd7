"""SoftHSM2 tokens for tests: fresh directory, own configuration, random PINs in files; works for root and plain users.

Also the same token behind a small PKCS#11 module of our own (`latency_shim.c`) that adds time to every C_Sign and can be
told to fail, hang or crash, so that a token that misbehaves can be tested against.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from services.kernel.runtime.config import TelemetrySettings
from services.kernel.runtime.telemetry import Telemetry
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.hsm.hsm import Hsm, TokenGroupSettings

_ROOT = Path(__file__).resolve().parents[2]
_INSTALL_SOFTHSM = "SoftHSM2 is missing. Install it: apt-get install softhsm2 (or run make install)"
_INSTALL_COMPILER = "a C compiler is missing. Install it: apt-get install gcc libc6-dev"
_PLACES = ("lib", "lib64", "lib/*-linux-*", "local/lib")


@cache
def find_module() -> Path:
    """Return the SoftHSM2 module of the system or of `var/`; fail with the install line."""
    for root in (Path("/usr"), *sorted((_ROOT / "var").glob("**/usr"))):
        for place in _PLACES:
            for found in sorted(root.glob(f"{place}/softhsm/libsofthsm2.so")):
                return found
    raise AssertionError(_INSTALL_SOFTHSM)


@cache
def find_tool() -> Path:
    """Return softhsm2-util of the system or of `var/`; fail with the install line."""
    if found := shutil.which("softhsm2-util"):
        return Path(found)
    for path in sorted((_ROOT / "var").glob("**/usr/bin/softhsm2-util")):
        return path
    raise AssertionError(_INSTALL_SOFTHSM)


@cache
def build_shim(directory: Path) -> Path:
    """Compile `latency_shim.c` into a directory; fail with the install line where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, _INSTALL_COMPILER
    target = directory / "latency_shim.so"
    source = Path(__file__).with_name("latency_shim.c")
    built = subprocess.run(  # our own source, a compiler from PATH
        [
            compiler,
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(target),
            str(source),
            "-ldl",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert built.returncode == 0, f"{_INSTALL_COMPILER}\n{built.stderr}"
    return target


@dataclass
class SoftHsm:
    """A directory of tokens of its own."""

    directory: Path
    pins: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the token directory and the configuration that points to it."""
        tokens = self.directory / "tokens"
        tokens.mkdir(parents=True, mode=0o700)
        self.configuration = self.directory / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to see these tokens."""
        return {"SOFTHSM2_CONF": str(self.configuration)}

    def create_token(self, label: str) -> Path:
        """Make a token with random PINs; return the file that holds the user PIN."""
        pin, so_pin = secrets.token_hex(8), secrets.token_hex(8)
        # The tool takes PINs as arguments only; these protect nothing.
        arguments = ["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", so_pin]
        made = subprocess.run(  # found above, arguments are ours
            [str(find_tool()), "--module", str(find_module()), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert made.returncode == 0, made.stderr
        file = self.directory / f"{label}.pin"
        file.touch(mode=0o600)
        file.write_text(pin + "\n")
        self.pins[label] = file
        return file

    def group(self, label: str, **changes: object) -> TokenGroupSettings:
        """Return settings for a token made before; `changes` are further settings of the group."""
        settings: dict[str, object] = {
            "module": find_module(),
            "token_label": label,
            "pin_file": self.pins[label],
            "environment": self.environment,
        }
        return TokenGroupSettings.model_validate(settings | changes)

    def behind_shim(self, label: str, *, sign_microseconds: int = 0, **changes: object) -> ShimmedToken:
        """Return the token behind the shim module; `sign_microseconds` are added to each C_Sign."""
        control, journal = self.directory / f"{label}.control", self.directory / f"{label}.journal"
        environment = self.environment | {
            "KYSO_SHIM_MODULE": str(find_module()),
            "KYSO_SHIM_SIGN_MICROSECONDS": str(sign_microseconds),
            "KYSO_SHIM_CONTROL": str(control),
            "KYSO_SHIM_JOURNAL": str(journal),
        }
        shim = build_shim(self.directory)
        return ShimmedToken(
            self.group(label, module=shim, environment=environment, **changes), control, journal
        )


@dataclass(frozen=True)
class ShimmedToken:
    """A token whose module does what the control file says."""

    settings: TokenGroupSettings
    control: Path
    journal: Path

    def misbehave(self, *lines: str) -> None:
        """From now on do as told: lines such as "C_Sign error 0x30 1", "C_Sign hang", "C_SignInit crash 1".

        A number at the end: so many times in each process, counted anew after each change. No lines: behave.
        """
        fresh = self.control.with_suffix(".new")
        fresh.write_text("".join(line + "\n" for line in lines))
        fresh.replace(self.control)

    def calls(self, function: str) -> list[int]:
        """Return the process ids that have called a function (C_Login, C_OpenSession, C_Initialize), in order."""
        if not self.journal.exists():
            return []
        entries = (line.split() for line in self.journal.read_text().splitlines())
        return [int(pid) for name, pid in entries if name == function]


@asynccontextmanager
async def open_hsm(**groups: TokenGroupSettings) -> AsyncIterator[tuple[Hsm, Telemetry]]:
    """Open the HSM floor over token groups; yield it with the telemetry that its metrics are in."""
    telemetry = Telemetry("signer", TelemetrySettings(log_level="error", http_listen="127.0.0.1:0"))
    async with Hsm.open(groups, telemetry) as hsm:
        yield hsm, telemetry


_HASHES = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}


def verify(spki: bytes, algorithm: SigningAlgorithm, digest: bytes, signature: object) -> None:
    """Verify with OpenSSL; raise InvalidSignature, or AssertionError where there is no signature at all."""
    assert isinstance(signature, bytes), signature
    public = load_der_public_key(spki)
    hashing = _HASHES[algorithm.digest]
    prehashed = utils.Prehashed(hashing)
    if isinstance(public, rsa.RSAPublicKey):
        pss = padding.PSS(padding.MGF1(hashing), algorithm.digest.size)
        is_pss = algorithm.scheme is SignatureScheme.RSA_PSS
        public.verify(signature, digest, pss if is_pss else padding.PKCS1v15(), prehashed)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, digest, ec.ECDSA(prehashed))
