"""The PKCS#11 worker: a process of its own that holds the PIN and the module, and parses no document.

`python -m services.signer.hsm.worker FD PARENT_PID`, started by `process.py`; FD is one end of a socket pair. It
logs in once, signs what it is sent, and ends with its parent. It never tries a PIN twice by itself, never uses a
session after a doubtful answer until it is told to recover, and never signs with a key whose public key is not the one
that the locator names. Nor does it begin a signature after the item's deadline, however long the item waited here.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

from services.signer.hsm import der, wire
from services.signer.hsm.cryptoki import RECIPES, STALE_HANDLE, CryptokiError, Refusal, SigningRecipe
from services.signer.hsm.token import SigningSession, Token, TokenErrors, refusal_of
from services.signer.hsm.wire import FrameKind, FrameReader, Status

_RECEIVE_BYTES = 256 * 1024
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


class Worker:
    """Reads frames, signs, answers in the order in which work ends."""

    def __init__(self, connection: socket.socket) -> None:
        """Take the socket to the parent."""
        self._connection = connection
        self._writing = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[int, int, bytes]] = queue.SimpleQueue()
        self._token: Token | None = None
        self._threads = 0
        self._doubtful = False

    def run(self) -> None:
        """Serve until the parent closes its end."""
        reader = FrameReader()
        while data := self._connection.recv(_RECEIVE_BYTES):
            for frame_id, kind, body in reader.feed(data):
                if self._threads and kind in (FrameKind.SIGN, FrameKind.FIND, FrameKind.LIST):
                    self._jobs.put((frame_id, kind, body))
                else:
                    self._serve(frame_id, kind, body, 0)
        if self._token is not None and not self._threads:
            self._token.close()

    def _require_token(self) -> Token:
        if self._token is None:
            raise wire.FrameError("work before HELLO")
        return self._token

    def _thread(self, index: int) -> None:
        try:
            while True:
                frame_id, kind, body = self._jobs.get()
                self._serve(frame_id, kind, body, index)
        except BaseException:  # noqa: BLE001  # whatever it is, this thread cannot go on
            # A thread that is gone would look like a hang: end the process, the parent starts another.
            traceback.print_exc()
            os._exit(70)

    def _serve(self, frame_id: int, kind: int, body: bytes, index: int) -> None:
        if kind == FrameKind.SIGN:
            session = self._require_token().sessions[index]
            answer = wire.frame(frame_id, FrameKind.SIGNED, self._sign(session, body))
        else:
            answer = wire.command(frame_id, FrameKind.ANSWER, self._command(kind, json.loads(body), index))
        with self._writing:
            self._connection.sendall(answer)

    def _command(self, kind: int, fields: dict[str, Any], index: int) -> dict[str, Any]:
        started = time.perf_counter_ns()
        answer: dict[str, Any] = {"status": Status.OK}
        try:
            answer.update(self._execute(kind, fields, index))
        except TokenErrors as error:
            refusal = refusal_of(error)
            if refusal.status is Status.NOT_STARTED:
                self._doubtful = True
            answer = {"status": refusal.status, "reason": refusal.reason}
        answer["doubtful"] = self._doubtful
        answer["micros"] = (time.perf_counter_ns() - started) // 1000
        return answer

    def _execute(self, kind: int, fields: dict[str, Any], index: int) -> dict[str, Any]:
        if kind == FrameKind.HELLO:
            self._token = Token(fields)
            if fields["sessions"] > 1:
                self._threads = int(fields["sessions"])
                for number in range(self._threads):
                    threading.Thread(target=self._thread, args=(number,), daemon=True).start()
            return {}
        token = self._require_token()
        if kind == FrameKind.RECOVER:
            if fields["initialize"]:
                token.initialize_again()
            else:
                token.reopen()
            self._doubtful = False
            return {}
        if kind == FrameKind.GENERATE:
            return {"spki": token.generate(bytes.fromhex(fields["cka_id"]), fields["algorithm"]).hex()}
        session = token.sessions[index]
        if kind == FrameKind.FIND:
            return {"spki": session.find(bytes.fromhex(fields["cka_id"]))[1].hex()}
        if kind == FrameKind.LIST:
            return {"cka_ids": [cka_id.hex() for cka_id in session.list_ids()]}
        raise wire.FrameError(f"frame kind {kind}")

    def _sign(self, session: SigningSession, body: bytes) -> bytes:
        signer, items, pack = session.signer, [], wire.ITEM.pack
        signer.cpu_ns = 0
        for cka_id, spki_sha256, scheme, digest_code, deadline, digests in wire.read_sign_body(body):
            recipe = RECIPES[scheme, digest_code]
            for digest in digests:
                signer.wall_ns = 0
                try:
                    result = self._sign_one(session, (cka_id, spki_sha256), recipe, digest, deadline)
                    status = 0
                except TokenErrors as error:
                    refusal = refusal_of(error)
                    result, status = refusal.reason.encode(), int(refusal.status)
                    if refusal.status in (Status.NOT_STARTED, Status.UNKNOWN, Status.PIN):
                        self._doubtful = True
                micros = min(signer.wall_ns // 1000, wire.MAX_MICROSECONDS)
                items.append(pack(status, micros, len(result)) + result)
        return wire.SIGNED.pack(self._doubtful, signer.cpu_ns, len(items)) + b"".join(items)

    def _sign_one(
        self,
        session: SigningSession,
        locator: tuple[bytes, bytes],
        recipe: SigningRecipe,
        digest: bytes,
        deadline: int,
    ) -> bytes:
        if self._doubtful:
            raise Refusal(Status.NOT_STARTED, "WORKER_DOUBTFUL")
        try:
            return _signature(session, session.key(*locator), recipe, digest, deadline)
        except CryptokiError as error:
            if error.rv not in STALE_HANDLE:
                raise
        # C_SignInit did not know the handle, so nothing was signed: look the key up afresh, once.
        session.forget(*locator)
        return _signature(session, session.key(*locator), recipe, digest, deadline)


def _signature(
    session: SigningSession,
    key: tuple[Any, int | None],
    recipe: SigningRecipe,
    digest: bytes,
    deadline: int,
) -> bytes:
    handle, order_bytes = key
    if recipe.is_ecdsa is (order_bytes is None):
        # Asked here, because tokens answer it with anything, even with an error that looks like a broken device.
        raise Refusal(Status.REFUSED, "KEY_TYPE_INCONSISTENT")
    if not recipe.is_ecdsa:
        return session.signer.sign(handle, recipe, recipe.prefix + digest, deadline)
    # FIPS 186-5 section 6.4.1: the leftmost bits of a digest longer than the order. Not every token does it itself.
    return der.ecdsa_signature(session.signer.sign(handle, recipe, digest[:order_bytes], deadline))


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, and leave no core file with the PIN in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def main(arguments: list[str]) -> None:
    """Run the worker on the file descriptor named by the first argument; the second is the parent's process id."""
    descriptor, parent = (int(argument) for argument in arguments)
    end_with(parent)
    # A Ctrl-C at the terminal reaches the whole group: the parent drains first, then closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A broken connection means that the parent is gone.
    with (
        socket.socket(fileno=descriptor) as connection,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        Worker(connection).run()


if __name__ == "__main__":
    main(sys.argv[1:])
