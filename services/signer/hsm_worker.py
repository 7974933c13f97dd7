"""The PKCS#11 worker: a process of its own that holds the PIN and the module, and parses no document.

`python -m services.signer.hsm_worker FD PARENT_PID`, started by `hsm_process.py`; FD is one end of a socket pair. It
logs in once, signs what it is sent, and ends with its parent. It never tries a PIN twice by itself, never uses a
session after a doubtful answer until it is told to recover, and never signs with a key whose public key is not the one
that the locator names.
"""

from __future__ import annotations

import ctypes
import hashlib
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

import pkcs11
from pkcs11 import _pkcs11
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType

from services.signer import hsm_der, hsm_wire
from services.signer.hsm_cryptoki import (
    RECIPES,
    STALE_HANDLE,
    Cryptoki,
    CryptokiError,
    RawSigner,
    SigningRecipe,
)
from services.signer.hsm_wire import FrameKind, FrameReader, Status

MAX_PIN_BYTES = 256
MAX_HANDLES = 4096
"""Key handles remembered for each session; the least recently used goes first."""
_RECEIVE_BYTES = 256 * 1024
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4

_PIN_ERRORS = frozenset(
    [
        "PinIncorrect",
        "PinInvalid",
        "PinLenRange",
        "PinExpired",
        "PinLocked",
        "PinTooWeak",
        "UserPinNotInitialized",
    ]
)
_REFUSALS = frozenset(
    [
        "AttributeTypeInvalid",
        "AttributeValueInvalid",
        "AttributeReadOnly",
        "DomainParamsInvalid",
        "FunctionNotSupported",
        "KeySizeRange",
        "MechanismInvalid",
        "MechanismParamInvalid",
        "SessionReadOnly",
        "TemplateIncomplete",
        "TemplateInconsistent",
        "TokenWriteProtected",
    ]
)
_CURVES = {"ECDSA_P256": hsm_der.P256, "ECDSA_P384": hsm_der.P384}


class Refusal(Exception):
    """An item or a command cannot be done; `status` says what that means, `reason` is ASCII from a closed set."""

    def __init__(self, status: Status, reason: str) -> None:
        """Take what goes into the answer."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class SigningSession:
    """One session with the key handles found in it; used by one thread at a time."""

    def __init__(self, session: pkcs11.Session, cryptoki: Cryptoki) -> None:
        """Take an open session; the login belongs to the anchor session."""
        self.session = session
        self.signer = RawSigner(cryptoki, session.handle)  # type: ignore[attr-defined]  # missing in its stubs
        self._keys: dict[bytes, tuple[int, int | None]] = {}

    def key(self, cka_id: bytes, spki_sha256: bytes) -> tuple[int, int | None]:
        """Return the private key's handle and, for EC, the bytes of its order; raise Refusal.

        The public key is compared with the SPKI hash when the key is found, before its first use in this session.
        """
        locator = cka_id + spki_sha256
        found = self._keys.pop(locator, None)
        if found is None:
            key, spki = self.find(cka_id)
            if hashlib.sha256(spki).digest() != spki_sha256:
                raise Refusal(Status.KEY_MISMATCH, "KEY_MISMATCH")
            size = hsm_der.CURVES[key[Attribute.EC_PARAMS]] if key.key_type is KeyType.EC else None
            found = int(key.handle), size  # type: ignore[attr-defined]
            if len(self._keys) >= MAX_HANDLES:
                del self._keys[next(iter(self._keys))]
        self._keys[locator] = found
        return found

    def forget(self, cka_id: bytes, spki_sha256: bytes) -> None:
        """Drop a handle that the token no longer knows."""
        self._keys.pop(cka_id + spki_sha256, None)

    def find(self, cka_id: bytes) -> tuple[pkcs11.PrivateKey, bytes]:
        """Return the private key and the DER SubjectPublicKeyInfo of the pair with this CKA_ID; raise Refusal."""
        private = self._objects(ObjectClass.PRIVATE_KEY, cka_id)
        public = self._objects(ObjectClass.PUBLIC_KEY, cka_id)
        if public and not private:
            # Private objects are invisible without login: the login may be gone, not the key.
            raise Refusal(Status.NOT_STARTED, "USER_NOT_LOGGED_IN")
        if len(private) != 1 or len(public) != 1:
            raise Refusal(Status.KEY_MISSING, "KEY_AMBIGUOUS" if len(private) > 1 else "KEY_MISSING")
        spki = public_key_info(public[0])
        if (
            private[0].key_type is KeyType.RSA
            and private[0][Attribute.MODULUS] != public[0][Attribute.MODULUS]
        ):
            raise Refusal(Status.KEY_MISMATCH, "KEY_MISMATCH")
        return private[0], spki

    def list_ids(self) -> list[bytes]:
        """Return the CKA_IDs of all private keys that have the length of ours."""
        keys = self.session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        return [cka_id for cka_id in (key[Attribute.ID] for key in keys) if len(cka_id) == 16]

    def _objects(self, object_class: ObjectClass, cka_id: bytes) -> list[Any]:
        return list(self.session.get_objects({Attribute.CLASS: object_class, Attribute.ID: cka_id}))


def public_key_info(key: Any) -> bytes:
    """Encode the SubjectPublicKeyInfo of a public key object; raise Refusal for kinds that are not ours."""
    try:
        if key.key_type is KeyType.RSA:
            return hsm_der.rsa_spki(key[Attribute.MODULUS], key[Attribute.PUBLIC_EXPONENT])
        if key.key_type is KeyType.EC:
            return hsm_der.ec_spki(key[Attribute.EC_PARAMS], key[Attribute.EC_POINT])
    except ValueError:
        pass
    raise Refusal(Status.REFUSED, "KEY_TYPE_INCONSISTENT")


class Token:
    """The module, the login and the sessions of one worker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Take the HELLO settings: module, token_label, token_serial or null, pin_file, sessions."""
        self._settings = settings
        self._cryptoki = Cryptoki(settings["module"])
        self._library: _pkcs11.lib | None = None
        self._token: pkcs11.Token | None = None
        self._anchor: pkcs11.Session | None = None
        self.sessions: list[SigningSession] = []

    def log_in(self) -> None:
        """Initialise the module, log in, open the sessions; raise PKCS11Error, CryptokiError or Refusal."""
        self.sessions.clear()
        self._anchor = self._token = None
        if self._library is None:
            self._library = _library(
                self._settings["module"], self._cryptoki, threads=self._settings["sessions"] > 1
            )
        else:
            self._cryptoki.finalize()
            self._library.initialize()
        wanted: dict[str, Any] = {"token_label": self._settings["token_label"]}
        if self._settings["token_serial"] is not None:
            wanted["token_serial"] = self._settings["token_serial"].encode()
        self._token = self._library.get_token(**wanted)
        # Login is per token and process. This session holds it, and nothing else is done in it.
        self._anchor = self._token.open(user_pin=read_pin(self._settings["pin_file"]))
        self.reopen()

    def reopen(self) -> None:
        """Open fresh signing sessions under the login that is there; the doubtful ones are closed, never reused."""
        assert self._token is not None
        for old in self.sessions:
            try:
                old.session.close()
            except PKCS11Error:
                pass  # It was doubtful: that it cannot be closed is no news.
        self.sessions[:] = [
            SigningSession(self._token.open(), self._cryptoki) for _ in range(self._settings["sessions"])
        ]

    def close(self) -> None:
        """Give the sessions back to the token."""
        self._cryptoki.finalize()

    def generate(self, cka_id: bytes, algorithm: str) -> bytes:
        """Make a key pair that can only sign and never leave; return its SPKI. Uses a session of its own."""
        assert self._token is not None
        with self._token.open(rw=True) as session:
            common: dict[str, Any] = {
                "id": cka_id,
                "label": f"kyso-{cka_id.hex()}",
                "store": True,
                "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
                "public_template": {Attribute.PRIVATE: False},
                "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            }
            if algorithm in _CURVES:
                parameters = {Attribute.EC_PARAMS: _CURVES[algorithm]}
                domain = session.create_domain_parameters(KeyType.EC, parameters, local=True)
                public, private = domain.generate_keypair(**common)
            else:
                bits = int(algorithm.removeprefix("RSA_"))
                public, private = session.generate_keypair(KeyType.RSA, bits, **common)
            if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
                private.destroy()
                public.destroy()
                raise Refusal(Status.REFUSED, "KEY_EXTRACTABLE")
            return public_key_info(public)


def _library(module: str, cryptoki: Cryptoki, *, threads: bool) -> _pkcs11.lib:
    class Library(_pkcs11.lib):
        def initialize(self) -> None:
            cryptoki.initialize(threads=threads)

    return Library(module)


def read_pin(path: str) -> str:
    """Read the PIN from its file, without the newline that editors add; raise Refusal."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_PIN_BYTES + 1)
        pin = raw.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise Refusal(Status.NOT_STARTED, "PIN_FILE_UNREADABLE") from None
    if not pin or len(raw) > MAX_PIN_BYTES:
        raise Refusal(Status.NOT_STARTED, "PIN_FILE_UNUSABLE")
    return pin


def refusal_of(error: Exception) -> Refusal:
    """Say what an error outside of C_Sign means. Nothing was signed in any of these."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, CryptokiError):
        return Refusal(error.status, error.name)
    name = type(error).__name__
    if name in _PIN_ERRORS:
        return Refusal(Status.PIN, name)
    return Refusal(Status.REFUSED if name in _REFUSALS else Status.NOT_STARTED, name)


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

    def _thread(self, index: int) -> None:
        try:
            while True:
                frame_id, kind, body = self._jobs.get()
                self._serve(frame_id, kind, body, index)
        except BaseException:
            # A thread that is gone would look like a hang: end the process, the parent starts another.
            traceback.print_exc()
            os._exit(70)

    def _serve(self, frame_id: int, kind: int, body: bytes, index: int) -> None:
        if kind == FrameKind.SIGN:
            assert self._token is not None
            answer = hsm_wire.frame(frame_id, FrameKind.SIGNED, self._sign(self._token.sessions[index], body))
        else:
            answer = hsm_wire.command(
                frame_id, FrameKind.ANSWER, self._command(kind, json.loads(body), index)
            )
        with self._writing:
            self._connection.sendall(answer)

    def _command(self, kind: int, fields: dict[str, Any], index: int) -> dict[str, Any]:
        started = time.perf_counter_ns()
        answer: dict[str, Any] = {"status": Status.OK}
        try:
            answer.update(self._execute(kind, fields, index))
        except (PKCS11Error, CryptokiError, Refusal, OSError) as error:
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
            self._token.log_in()
            if fields["sessions"] > 1:
                self._threads = int(fields["sessions"])
                for index in range(self._threads):
                    threading.Thread(target=self._thread, args=(index,), daemon=True).start()
            return {}
        assert self._token is not None
        if kind == FrameKind.RECOVER:
            if fields["initialize"]:
                self._token.log_in()
            else:
                self._token.reopen()
            self._doubtful = False
            return {}
        if kind == FrameKind.GENERATE:
            return {"spki": self._token.generate(bytes.fromhex(fields["cka_id"]), fields["algorithm"]).hex()}
        if kind == FrameKind.FIND:
            return {"spki": self._token.sessions[index].find(bytes.fromhex(fields["cka_id"]))[1].hex()}
        if kind == FrameKind.LIST:
            return {"cka_ids": [cka_id.hex() for cka_id in self._token.sessions[index].list_ids()]}
        raise hsm_wire.FrameError(f"frame kind {kind}")

    def _sign(self, session: SigningSession, body: bytes) -> bytes:
        signer, items, pack = session.signer, [], hsm_wire.ITEM.pack
        signer.cpu_ns = 0
        for cka_id, spki_sha256, scheme, digest_code, digests in hsm_wire.read_sign_body(body):
            for digest in digests:
                signer.wall_ns = 0
                try:
                    result, status = (
                        self._sign_one(session, cka_id, spki_sha256, (scheme, digest_code), digest),
                        0,
                    )
                except (PKCS11Error, CryptokiError, Refusal) as error:
                    refusal = refusal_of(error)
                    result, status = refusal.reason.encode(), int(refusal.status)
                    if refusal.status in (Status.NOT_STARTED, Status.UNKNOWN, Status.PIN):
                        self._doubtful = True
                micros = min(signer.wall_ns // 1000, hsm_wire.MAX_MICROSECONDS)
                items.append(pack(status, micros, len(result)) + result)
        return hsm_wire.SIGNED.pack(self._doubtful, signer.cpu_ns, len(items)) + b"".join(items)

    def _sign_one(
        self,
        session: SigningSession,
        cka_id: bytes,
        spki_sha256: bytes,
        algorithm: tuple[int, int],
        digest: bytes,
    ) -> bytes:
        if self._doubtful:
            raise Refusal(Status.NOT_STARTED, "WORKER_DOUBTFUL")
        try:
            return _signature(session, session.key(cka_id, spki_sha256), RECIPES[algorithm], digest)
        except CryptokiError as error:
            if error.rv not in STALE_HANDLE:
                raise
        # C_SignInit did not know the handle, so nothing was signed: look the key up afresh, once.
        session.forget(cka_id, spki_sha256)
        return _signature(session, session.key(cka_id, spki_sha256), RECIPES[algorithm], digest)


def _signature(
    session: SigningSession, key: tuple[int, int | None], recipe: SigningRecipe, digest: bytes
) -> bytes:
    handle, order_bytes = key
    if not recipe.is_ecdsa:
        return session.signer.sign(handle, recipe, recipe.prefix + digest)
    # FIPS 186-5 section 6.4.1: the leftmost bits of a digest longer than the order. Not every token does it itself.
    return hsm_der.ecdsa_signature(session.signer.sign(handle, recipe, digest[:order_bytes]))


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
    with socket.socket(fileno=descriptor) as connection:
        try:
            Worker(connection).run()
        except (BrokenPipeError, ConnectionResetError):
            pass  # The parent is gone.


if __name__ == "__main__":
    main(sys.argv[1:])
