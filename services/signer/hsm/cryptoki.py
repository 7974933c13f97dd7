"""A few Cryptoki functions called directly, because python-pkcs11 calls them in a way that costs too much or too little.

`key.sign` of python-pkcs11 0.10 calls C_Sign twice for each signature, once for the length only, which on a network HSM
is a round trip more; and it does not tell a failure of C_SignInit, when nothing can have been signed, from one of
C_Sign, when something may have been. And it initialises the module for one thread only (`C_Initialize(NULL)`) although
it releases the GIL, so that a second thread crashes the module. Everything else stays with python-pkcs11.
Standard library only.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

from services.signer.hsm.wire import Scheme, Status

_ULONG = ctypes.c_ulong
_FUNCTIONS_2_40 = 68
_INITIALIZE, _FINALIZE, _GET_SESSION_INFO, _SIGN_INIT, _SIGN = 0, 1, 15, 42, 43
"""Positions in CK_FUNCTION_LIST (PKCS#11 2.40, pkcs11f.h order)."""
_CKF_OS_LOCKING_OK = 0x2
_CKR_ALREADY_INITIALIZED = 0x191
_USER_STATES = (1, 3)
"""CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS."""
_SIGNATURE_BYTES = 1024
"""Room for the signature of an RSA-8192 key."""

ERROR_NAMES = {
    0x02: "HOST_MEMORY", 0x05: "GENERAL_ERROR", 0x06: "FUNCTION_FAILED", 0x07: "ARGUMENTS_BAD",
    0x20: "DATA_INVALID", 0x21: "DATA_LEN_RANGE", 0x30: "DEVICE_ERROR", 0x31: "DEVICE_MEMORY",
    0x32: "DEVICE_REMOVED", 0x50: "FUNCTION_CANCELED", 0x54: "FUNCTION_NOT_SUPPORTED",
    0x60: "KEY_HANDLE_INVALID", 0x62: "KEY_SIZE_RANGE", 0x63: "KEY_TYPE_INCONSISTENT",
    0x68: "KEY_FUNCTION_NOT_PERMITTED", 0x70: "MECHANISM_INVALID", 0x71: "MECHANISM_PARAM_INVALID",
    0x82: "OBJECT_HANDLE_INVALID", 0x90: "OPERATION_ACTIVE", 0x91: "OPERATION_NOT_INITIALIZED",
    0xA0: "PIN_INCORRECT", 0xA1: "PIN_INVALID", 0xA2: "PIN_LEN_RANGE", 0xA3: "PIN_EXPIRED", 0xA4: "PIN_LOCKED",
    0xB0: "SESSION_CLOSED", 0xB3: "SESSION_HANDLE_INVALID", 0xE0: "TOKEN_NOT_PRESENT",
    0xE1: "TOKEN_NOT_RECOGNIZED", 0x101: "USER_NOT_LOGGED_IN", 0x102: "USER_PIN_NOT_INITIALIZED",
    0x150: "BUFFER_TOO_SMALL", 0x190: "CRYPTOKI_NOT_INITIALIZED", 0x200: "FUNCTION_REJECTED",
}  # fmt: skip

STALE_HANDLE = frozenset({0x60, 0x82})
"""The object handle is no longer good: look the key up again."""
PIN_ERRORS = frozenset({0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0x102})
_REFUSED = frozenset({0x20, 0x21, 0x54, 0x62, 0x63, 0x68, 0x70, 0x71, 0x200})
"""The token is well and will not do this with this key."""
_NOT_EXECUTED = frozenset({0x60, 0x82, 0xB0, 0xB3, 0x101, 0x190, 0x91})
"""Answers of C_Sign which mean that it did not begin. All others leave open what the token did."""

_CKM = {Scheme.PKCS1V15: 0x1, Scheme.PSS: 0xD, Scheme.ECDSA: 0x1041}
"""CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_ECDSA."""
_PSS_HASH = {1: (0x250, 0x2, 32), 2: (0x260, 0x3, 48), 3: (0x270, 0x4, 64)}
"""Digest code -> CK_RSA_PKCS_PSS_PARAMS: hash mechanism, mask generation function with the same hash, salt bytes."""
_DIGEST_INFO = {
    1: bytes.fromhex("3031300d060960864801650304020105000420"),
    2: bytes.fromhex("3041300d060960864801650304020205000430"),
    3: bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""Digest code -> what precedes the digest in a DigestInfo (RFC 8017 section 9.2, note 1)."""


class _Mechanism(ctypes.Structure):
    _fields_ = [("mechanism", _ULONG), ("parameter", ctypes.c_void_p), ("length", _ULONG)]


class _FunctionList(ctypes.Structure):
    _fields_ = [("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * _FUNCTIONS_2_40)]


class _InitializeArgs(ctypes.Structure):
    _fields_ = [
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", _ULONG),
        ("reserved", ctypes.c_void_p),
    ]


class CryptokiError(Exception):
    """A Cryptoki call did not return CKR_OK. `rv` is the return value, `status` what that means for the item."""

    def __init__(self, rv: int, status: Status) -> None:
        """Name the return value without the CKR_ prefix."""
        self.rv = rv
        self.status = status
        self.name = ERROR_NAMES.get(rv, f"CKR_{rv:#x}")
        super().__init__(self.name)


class Refusal(Exception):
    """An item or a command cannot be done; `status` says what that means, `reason` is ASCII from a closed set."""

    def __init__(self, status: Status, reason: str) -> None:
        """Take what goes into the answer."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SigningRecipe:
    """A mechanism with its parameter, ready for C_SignInit, and how the digest is dressed for it."""

    mechanism: _Mechanism
    parameter: ctypes.Array[ctypes.c_ulong] | None
    """Keeps alive the memory that the mechanism points to."""
    prefix: bytes
    is_ecdsa: bool


def _recipe(scheme: Scheme, digest: int) -> SigningRecipe:
    parameter: ctypes.Array[ctypes.c_ulong] | None = None
    mechanism = _Mechanism(_CKM[scheme], None, 0)
    if scheme is Scheme.PSS:
        parameter = (_ULONG * 3)(*_PSS_HASH[digest])
        mechanism.parameter, mechanism.length = ctypes.addressof(parameter), ctypes.sizeof(parameter)
    prefix = _DIGEST_INFO[digest] if scheme is Scheme.PKCS1V15 else b""
    return SigningRecipe(mechanism, parameter, prefix, scheme is Scheme.ECDSA)


RECIPES = {(int(scheme), digest): _recipe(scheme, digest) for scheme in Scheme for digest in (1, 2, 3)}
"""(scheme code, digest code) -> recipe. Shared by all threads: Cryptoki only reads it."""


class Cryptoki:
    """The module's own function list, found again beside python-pkcs11's (the loader gives the same module)."""

    def __init__(self, module: str) -> None:
        """Load the module; raise OSError where it cannot be."""
        library = ctypes.CDLL(module)
        listing = ctypes.POINTER(_FunctionList)()
        library.C_GetFunctionList.restype = _ULONG
        if library.C_GetFunctionList(ctypes.byref(listing)) != 0:
            raise OSError(f"{module}: C_GetFunctionList failed")
        functions = listing.contents.functions
        pointer, ulong = ctypes.c_void_p, _ULONG
        self._initialize = ctypes.CFUNCTYPE(ulong, pointer)(functions[_INITIALIZE])
        self._finalize = ctypes.CFUNCTYPE(ulong, pointer)(functions[_FINALIZE])
        self._get_session_info = ctypes.CFUNCTYPE(ulong, ulong, pointer)(functions[_GET_SESSION_INFO])
        self.sign_init = ctypes.CFUNCTYPE(ulong, ulong, pointer, ulong)(functions[_SIGN_INIT])
        self.sign = ctypes.CFUNCTYPE(ulong, ulong, ctypes.c_char_p, ulong, pointer, pointer)(functions[_SIGN])

    def initialize(self) -> None:
        """Call C_Initialize with CKF_OS_LOCKING_OK, so that several threads may call; raise CryptokiError."""
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK)
        rv = self._initialize(ctypes.addressof(arguments))
        if rv not in (0, _CKR_ALREADY_INITIALIZED):
            raise CryptokiError(rv, Status.NOT_STARTED)

    def knows(self, session: int) -> bool:
        """Tell whether a session of python-pkcs11 is one of this function list too.

        In nearly every module all lists are the same; p11-kit's client hands out a new instance with each.
        """
        info = (_ULONG * 4)()
        return bool(self._get_session_info(session, ctypes.addressof(info)) == 0)

    def is_logged_in(self, session: int) -> bool:
        """Tell whether a session sees private objects; raise CryptokiError where the token does not say."""
        info = (_ULONG * 4)()  # CK_SESSION_INFO: slot, state, flags, device error
        rv = self._get_session_info(session, ctypes.addressof(info))
        if rv != 0:
            raise CryptokiError(rv, Status.NOT_STARTED)
        return info[1] in _USER_STATES

    def finalize(self) -> None:
        """Call C_Finalize; what it answers does not matter, for it is followed by an end or a new beginning."""
        self._finalize(None)


def require_time(now_ns: int, deadline_ns: int) -> None:
    """Raise Refusal where the deadline (`time.monotonic_ns()`) has passed."""
    if now_ns >= deadline_ns:
        raise Refusal(Status.LATE, "DEADLINE_PASSED")


class RawSigner:
    """Signs in one session, one operation at a time, on one thread; measures what the token takes."""

    def __init__(self, cryptoki: Cryptoki, session_handle: int) -> None:
        """Take the handle of an open session that nothing else signs in."""
        self._sign_init, self._sign = cryptoki.sign_init, cryptoki.sign
        self._session = session_handle
        self._buffer = ctypes.create_string_buffer(_SIGNATURE_BYTES)
        self._length = _ULONG(0)
        self._buffer_at = ctypes.addressof(self._buffer)
        self._length_at = ctypes.addressof(self._length)
        self.wall_ns = 0
        """Wall time of the last operation."""
        self.cpu_ns = 0
        """CPU time of this thread inside the token, summed up since it was last set to 0."""

    def sign(self, key_handle: int, recipe: SigningRecipe, data: bytes, deadline_ns: int) -> bytes:
        """Sign data as the mechanism takes it; return the token's own format.

        No C_Sign begins after the deadline (`time.monotonic_ns()`). Raises CryptokiError, or Refusal where it passed.
        """
        started, cpu_started = time.monotonic_ns(), time.thread_time_ns()
        require_time(started, deadline_ns)
        rv = self._sign_init(self._session, ctypes.addressof(recipe.mechanism), key_handle)
        initialized = rv == 0
        in_time = not initialized or time.monotonic_ns() < deadline_ns
        if initialized and in_time:
            self._length.value = _SIGNATURE_BYTES
            rv = self._sign(self._session, data, len(data), self._buffer_at, self._length_at)
        self.cpu_ns += time.thread_time_ns() - cpu_started
        self.wall_ns = time.monotonic_ns() - started
        if not in_time:
            # C_SignInit was slow, and its session is in the middle of an operation: it has to be opened again.
            raise Refusal(Status.NOT_STARTED, "DEADLINE_PASSED_IN_SIGN_INIT")
        if rv != 0:
            raise CryptokiError(rv, _meaning(rv, initialized))
        return ctypes.string_at(self._buffer_at, self._length.value)


def _meaning(rv: int, initialized: bool) -> Status:
    if rv in PIN_ERRORS:
        return Status.PIN
    if rv in _REFUSED:
        return Status.REFUSED
    return Status.UNKNOWN if initialized and rv not in _NOT_EXECUTED else Status.NOT_STARTED
