"""When C_SignInit and C_Sign are called at all, on a token that only notes the calls."""

from __future__ import annotations

import ctypes
import time
from typing import cast

import pytest

from services.signer.hsm.cryptoki import RECIPES, Cryptoki, RawSigner, Refusal
from services.signer.hsm.wire import NO_DEADLINE, Scheme, Status

RECIPE = RECIPES[int(Scheme.ECDSA), 1]


class NotingToken:
    """Takes a while for C_SignInit, and notes what was called."""

    def __init__(self, init_until_ns: int = 0) -> None:
        """C_SignInit returns after this moment of `time.monotonic_ns()`."""
        self.calls: list[str] = []
        self._init_until_ns = init_until_ns

    def sign_init(self, _session: int, _mechanism: int, _key: int) -> int:
        """C_SignInit."""
        self.calls.append("C_SignInit")
        while time.monotonic_ns() < self._init_until_ns:
            pass
        return 0

    def sign(self, _session: int, data: bytes, _size: int, signature: int, length: int) -> int:
        """C_Sign: the signature is the data."""
        self.calls.append("C_Sign")
        ctypes.memmove(signature, data, len(data))
        ctypes.c_ulong.from_address(length).value = len(data)
        return 0


def signer(token: NotingToken) -> RawSigner:
    """Sign on a token."""
    return RawSigner(cast("Cryptoki", token), 1)


def test_before_the_deadline_it_signs() -> None:
    token = NotingToken()
    for deadline in (NO_DEADLINE, time.monotonic_ns() + 60_000_000_000):
        assert signer(token).sign(7, RECIPE, b"digest", deadline) == b"digest"
    assert token.calls == ["C_SignInit", "C_Sign"] * 2


def test_after_the_deadline_the_token_hears_nothing() -> None:
    token = NotingToken()
    with pytest.raises(Refusal) as caught:
        signer(token).sign(7, RECIPE, b"digest", time.monotonic_ns())
    assert caught.value.status is Status.LATE
    assert token.calls == []


def test_a_deadline_that_passes_in_sign_init_keeps_sign_back_and_the_session_is_not_used_again() -> None:
    deadline = time.monotonic_ns() + 50_000_000
    token = NotingToken(init_until_ns=deadline)
    with pytest.raises(Refusal) as caught:
        signer(token).sign(7, RECIPE, b"digest", deadline)
    # Not LATE: an operation was begun in the session, so it has to be opened again.
    assert caught.value.status is Status.NOT_STARTED
    assert token.calls == ["C_SignInit"]
