"""The bare token: C_Sign in a loop, one process and one session a worker, no service around it."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from services.kernel.values import KeyAlgorithm

SECONDS = 3.0
DIGEST_INFO_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True)
class Token:
    """A token of its own for the measurement, with an empty store."""

    module: Path
    configuration: Path
    label: str
    pin_file: Path


def rate(token: Token, algorithm: KeyAlgorithm, workers: int) -> float:
    """Return C_Sign a second over all workers."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(workers)]
    children = [context.Process(target=_work, args=(token, algorithm, far)) for _, far in pairs]
    for child in children:
        child.start()
    for near, _ in pairs:
        assert near.recv() == "ready"
    for near, _ in pairs:
        near.send("go")
    rates = [float(near.recv()) for near, _ in pairs]
    for child in children:
        child.join(10)
    return sum(rates)


def _work(token: Token, algorithm: KeyAlgorithm, pipe: Connection) -> None:
    os.environ["SOFTHSM2_CONF"] = str(token.configuration)
    import pkcs11
    from pkcs11 import Attribute, KeyType, Mechanism
    from pkcs11.util.ec import encode_named_curve_parameters

    library = pkcs11.lib(str(token.module))
    pin = token.pin_file.read_text(encoding="utf-8").strip()
    with library.get_token(token_label=token.label).open(rw=True, user_pin=pin) as session:
        key: Any
        if algorithm.family == "RSA":
            _, key = session.generate_keypair(KeyType.RSA, algorithm.bits, store=False)
            mechanism, data = Mechanism.RSA_PKCS, DIGEST_INFO_SHA256 + secrets.token_bytes(32)
        else:
            curve = encode_named_curve_parameters("secp256r1")
            parameters = session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: curve}, local=True
            )
            _, key = parameters.generate_keypair(store=False)
            mechanism, data = Mechanism.ECDSA, secrets.token_bytes(32)
        key.sign(data, mechanism=mechanism)
        pipe.send("ready")
        pipe.recv()
        count, start = 0, time.monotonic()
        while time.monotonic() - start < SECONDS:
            key.sign(data, mechanism=mechanism)
            count += 1
        pipe.send(count / (time.monotonic() - start))
