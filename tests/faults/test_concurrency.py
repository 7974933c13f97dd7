"""Sixty-four callers at once with three mechanisms: no crash, and every signature verifies under the right key."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from kyso.v1 import common_pb2
from tests.support.load import DIGESTS, Callers, Request, Wish
from tests.support.platform import running_platform
from tests.support.world import World

CALLERS = 64
SAMPLE = 100
HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
}  # fmt: skip


async def test_many_callers_with_three_mechanisms(
    tmp_path: Path, full: bool, report: Callable[[str], None]
) -> None:
    seconds = 60 if full else 5
    with running_platform(tmp_path / "platform") as platform:
        world = World(platform)
        wishes = [
            Wish(world.ec_credential),
            Wish(
                world.rsa_credential,
                common_pb2.SIGNATURE_SCHEME_RSA_PKCS1V15,
                common_pb2.DIGEST_ALGORITHM_SHA512,
            ),
            Wish(world.rsa_credential, common_pb2.SIGNATURE_SCHEME_RSA_PSS),
        ]
        workers = {child.pid for child in _children(platform.processes["signer-1"].pid)}
        door = platform.channel("gateway", "signer")
        async with Callers([door], world.token(), wishes, CALLERS) as callers:
            await asyncio.sleep(seconds)  # the length of the run, not a wait
        assert {child.pid for child in _children(platform.processes["signer-1"].pid)} == workers, (
            "a worker died"
        )
        world.close()
    finals = {request.final for request in callers.requests}
    assert finals == {"signed"}
    for request in callers.requests:
        _verify(request)
    sample = random.sample(callers.requests, min(SAMPLE, len(callers.requests)))
    for number, request in enumerate(sample):
        _verify_by_openssl(request, tmp_path / str(number))
    assert len(sample) == SAMPLE
    report(
        f"{CALLERS} callers, {seconds} s: {len(callers.requests)} signatures, all right; {len(sample)} by openssl"
    )


def _children(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


def _leaf(request: Request) -> x509.Certificate:
    return x509.load_der_x509_certificate(request.chain[0])


def _verify(request: Request) -> None:
    (signature,) = request.signatures
    name = DIGESTS[request.wish.digest]
    key, algorithm = _leaf(request).public_key(), HASHES[name]
    digest = request.message().digests[0]
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, digest, ec.ECDSA(utils.Prehashed(algorithm)))
        return
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, digest, _padding(request, algorithm), utils.Prehashed(algorithm))


def _padding(request: Request, algorithm: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if request.wish.scheme == common_pb2.SIGNATURE_SCHEME_RSA_PSS:
        return padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    return padding.PKCS1v15()


def _verify_by_openssl(request: Request, folder: Path) -> None:
    folder.mkdir()
    (signature,) = request.signatures
    (folder / "digest").write_bytes(request.message().digests[0])
    (folder / "signature").write_bytes(signature)
    key = _leaf(request).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(pem)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-in", "digest", "-sigfile", "signature",
               "-pkeyopt", f"digest:{DIGESTS[request.wish.digest]}"]  # fmt: skip
    if request.wish.scheme == common_pb2.SIGNATURE_SCHEME_RSA_PSS:
        command += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        pytest.fail(f"openssl says: {done.stdout} {done.stderr}")
