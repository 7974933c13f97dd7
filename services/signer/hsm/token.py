"""The token as a worker sees it: the module, the login, the sessions and the keys. Imported by `worker` only.

Blocks, and knows nothing of frames or of the parent.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import pkcs11
from pkcs11 import _pkcs11
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from services.signer.hsm import der
from services.signer.hsm.cryptoki import (
    Cryptoki,
    CryptokiError,
    RawSigner,
    Refusal,
    SigningRecipe,
    require_time,
)
from services.signer.hsm.types import CKA_ID_BYTES
from services.signer.hsm.wire import Status

MAX_PIN_BYTES = 256
MAX_HANDLES = 4096
"""Key handles remembered for each session; the least recently used goes first."""

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
_NOT_EXECUTED = frozenset(
    ["KeyHandleInvalid", "ObjectHandleInvalid", "SessionClosed", "SessionHandleInvalid", "UserNotLoggedIn"]
)
"""Errors which mean that a signature did not begin."""
_CURVES = {"ECDSA_P256": der.P256, "ECDSA_P384": der.P384}


class Signer(Protocol):
    """What signs in one session, and measures what the token takes."""

    wall_ns: int
    cpu_ns: int

    def sign(self, key: Any, recipe: SigningRecipe, data: bytes, deadline_ns: int) -> bytes:
        """Sign data as the mechanism takes it, unless the deadline has passed; raise one of TokenErrors."""


class LibrarySigner:
    """Signs through python-pkcs11, for the modules whose function list cannot be had a second time.

    One round trip more a signature than RawSigner; and since it cannot be told how far the library came, a failure
    that leaves open what the token did makes the outcome unknown.
    """

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.wall_ns = 0
        self.cpu_ns = 0

    def sign(self, key: Any, recipe: SigningRecipe, data: bytes, deadline_ns: int) -> bytes:
        """Sign with a key object of the session, unless the deadline has passed."""
        parameter = None if recipe.parameter is None else bytes(recipe.parameter)
        started, cpu_started = time.monotonic_ns(), time.thread_time_ns()
        require_time(started, deadline_ns)
        try:
            signature = key.sign(
                data, mechanism=Mechanism(recipe.mechanism.mechanism), mechanism_param=parameter
            )
        except PKCS11Error as error:
            refusal = refusal_of(error)
            if refusal.status is Status.NOT_STARTED and type(error).__name__ not in _NOT_EXECUTED:
                raise Refusal(Status.UNKNOWN, refusal.reason) from None
            raise
        finally:
            self.cpu_ns += time.thread_time_ns() - cpu_started
            self.wall_ns = time.monotonic_ns() - started
        return bytes(signature)


class SigningSession:
    """One session with the key handles found in it; used by one thread at a time."""

    def __init__(self, session: pkcs11.Session, cryptoki: Cryptoki | None) -> None:
        """Take an open session; the login belongs to the anchor session. Without Cryptoki, the library signs."""
        self.session = session
        self._cryptoki = cryptoki
        self.signer: Signer = LibrarySigner()
        if cryptoki is not None:
            self.signer = RawSigner(cryptoki, session.handle)  # type: ignore[attr-defined]  # missing in its stubs
        self._keys: dict[bytes, tuple[Any, int | None]] = {}

    def key(self, cka_id: bytes, spki_sha256: bytes) -> tuple[Any, int | None]:
        """Return the private key as `signer` takes it and, for EC, the bytes of its order; raise Refusal.

        The public key is compared with the SPKI hash when the key is found, before its first use in this session.
        """
        locator = cka_id + spki_sha256
        found = self._keys.pop(locator, None)
        if found is None:
            key, spki = self.find(cka_id)
            if hashlib.sha256(spki).digest() != spki_sha256:
                raise Refusal(Status.KEY_MISMATCH, "KEY_MISMATCH")
            size = der.CURVES[key[Attribute.EC_PARAMS]] if key.key_type is KeyType.EC else None
            found = (key if self._cryptoki is None else key.handle), size
            if len(self._keys) >= MAX_HANDLES:
                del self._keys[next(iter(self._keys))]
        self._keys[locator] = found
        return found

    def _is_logged_in(self) -> bool:
        session: Any = self.session  # its stubs lack the handle
        return self._cryptoki is None or self._cryptoki.is_logged_in(session.handle)

    def forget(self, cka_id: bytes, spki_sha256: bytes) -> None:
        """Drop a handle that the token no longer knows."""
        self._keys.pop(cka_id + spki_sha256, None)

    def find(self, cka_id: bytes) -> tuple[Any, bytes]:
        """Return the private key and the DER SubjectPublicKeyInfo of the pair with this CKA_ID; raise Refusal."""
        private = self._objects(ObjectClass.PRIVATE_KEY, cka_id)
        public = self._objects(ObjectClass.PUBLIC_KEY, cka_id)
        if not private and not self._is_logged_in():
            # Private objects are invisible without login: it is the login that is gone, not the key.
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
        return [cka_id for cka_id in (key[Attribute.ID] for key in keys) if len(cka_id) == CKA_ID_BYTES]

    def _objects(self, object_class: ObjectClass, cka_id: bytes) -> list[Any]:
        return list(self.session.get_objects({Attribute.CLASS: object_class, Attribute.ID: cka_id}))


def public_key_info(key: Any) -> bytes:
    """Encode the SubjectPublicKeyInfo of a public key object; raise Refusal for kinds that are not ours."""
    if key.key_type is KeyType.RSA:
        return der.rsa_spki(key[Attribute.MODULUS], key[Attribute.PUBLIC_EXPONENT])
    if key.key_type is KeyType.EC:
        with contextlib.suppress(ValueError):
            return der.ec_spki(key[Attribute.EC_PARAMS], key[Attribute.EC_POINT])
    raise Refusal(Status.REFUSED, "KEY_TYPE_INCONSISTENT")


class Token:
    """The module, the login and the sessions of one worker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Load the module, log in, open the sessions; raise one of TokenErrors.

        `settings` are those of HELLO: module, token_label, token_serial or null, pin_file, sessions.
        """
        self._settings = settings
        try:
            self._cryptoki = Cryptoki(settings["module"])
        except OSError as error:
            # The loader's own words name files: they are the operator's, not the callers'.
            sys.stderr.write(f"PKCS#11 module: {error}\n")
            raise Refusal(Status.NOT_STARTED, "MODULE_UNLOADABLE") from None
        self._library = _library(settings["module"], self._cryptoki, threads=settings["sessions"] > 1)
        self.sessions: list[SigningSession] = []
        self._log_in()

    def initialize_again(self) -> None:
        """Finalise the module and begin anew, login included; raise one of TokenErrors."""
        self.sessions.clear()
        self.close()
        self._library.initialize()
        self._log_in()

    def _log_in(self) -> None:
        wanted: dict[str, Any] = {"token_label": self._settings["token_label"]}
        if self._settings["token_serial"] is not None:
            wanted["token_serial"] = self._settings["token_serial"].encode()
        self._token = self._library.get_token(**wanted)
        # Login is per token and process. This session holds it, and nothing else is done in it.
        self._anchor = self._token.open(user_pin=read_pin(Path(self._settings["pin_file"])))
        self.reopen()

    def reopen(self) -> None:
        """Open fresh signing sessions under the login that is there; the doubtful ones are closed, never reused."""
        for old in self.sessions:
            # It was doubtful: that it cannot be closed is no news.
            with contextlib.suppress(PKCS11Error):
                old.session.close()
        anchor: Any = self._anchor  # its stubs lack the handle
        direct = self._cryptoki if self._cryptoki.knows(anchor.handle) else None
        self.sessions[:] = [
            SigningSession(self._token.open(), direct) for _ in range(self._settings["sessions"])
        ]

    def close(self) -> None:
        """Give the sessions back to the token; an error says only that they are gone already."""
        with contextlib.suppress(PKCS11Error):
            self._library.finalize()

    def generate(self, cka_id: bytes, algorithm: str) -> bytes:
        """Make a key pair that can only sign and never leave; return its SPKI. Uses a session of its own."""
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
    if not threads:
        return _pkcs11.lib(module)

    class ThreadSafeLibrary(_pkcs11.lib):
        def initialize(self) -> None:
            cryptoki.initialize()

        def finalize(self) -> None:
            cryptoki.finalize()

    return ThreadSafeLibrary(module)


def read_pin(path: Path) -> str:
    """Read the PIN from its file, without the newline that editors add; raise Refusal."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PIN_BYTES + 1)
        pin = raw.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise Refusal(Status.NOT_STARTED, "PIN_FILE_UNREADABLE") from None
    if not pin or len(raw) > MAX_PIN_BYTES:
        raise Refusal(Status.NOT_STARTED, "PIN_FILE_UNUSABLE")
    return pin


TokenErrors = (PKCS11Error, CryptokiError, Refusal)
"""What the functions of this module raise; `refusal_of` says what it means."""


def refusal_of(error: Exception) -> Refusal:
    """Say what an error outside of C_Sign means. Nothing was signed in any of these."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, CryptokiError):
        return Refusal(error.status, error.name)
    name = type(error).__name__
    reason = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper()  # SessionClosed is SESSION_CLOSED in Cryptoki
    if name in _PIN_ERRORS:
        return Refusal(Status.PIN, reason)
    return Refusal(Status.REFUSED if name in _REFUSALS else Status.NOT_STARTED, reason)
