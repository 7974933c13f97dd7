"""Which hosts outside may be asked, at which addresses, and how hard.

A name on the list is not enough: whoever holds the name could point it at an address inside the house. So the name is
resolved here, each address is looked at, and the connection is made to one of the addresses that were looked at.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from weakref import WeakValueDictionary

import httpx

from services.verifier.config import EgressSettings, OutsideHostSettings

MAX_URL_CHARACTERS = 2048
MAX_GATES = 1024
_HOST = re.compile(r"[a-z0-9.:_-]{1,253}")
"""A name in IDNA, or an address; whatever else a parser lets through is no name that anybody can have."""
_NAT64 = IPv6Network("64:ff9b::/96")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a host; raises OSError where there are none."""


class Reason(StrEnum):
    """Why something outside was not had; `MissingEvidence.reason` of the contract."""

    NOT_ALLOWED = "NOT_ALLOWED"
    UNREACHABLE = "UNREACHABLE"
    TOO_LARGE = "TOO_LARGE"
    BAD_ANSWER = "BAD_ANSWER"


class EgressError(Exception):
    """Something outside could not be had; `detail` is a clause without a full stop and names hosts, never contents."""

    def __init__(self, reason: Reason, detail: str, *, answered: bool = False) -> None:
        """Take the stable reason and the clause for people; `answered`: the host is there and said this itself."""
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.answered = reason, detail, answered


@dataclass(frozen=True, slots=True)
class Target:
    """An address on the list. `host` is lower case and IDNA."""

    url: httpx.URL
    host: str
    port: int
    private_address: bool

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return self.url.netloc.decode("ascii")


def target_of(url: str, hosts: Sequence[OutsideHostSettings]) -> Target:
    """Read an URL and find its host on the list. Raises EgressError (NOT_ALLOWED)."""
    try:
        if not 0 < len(url) <= MAX_URL_CHARACTERS:
            raise EgressError(Reason.NOT_ALLOWED, f"an URL has at most {MAX_URL_CHARACTERS} characters")
        parsed = httpx.URL(url)
        # Raw: what the connection uses, so that no two readings of a name differ.
        host = parsed.raw_host.decode("ascii").lower().rstrip(".")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise EgressError(Reason.NOT_ALLOWED, "the URL cannot be read") from error
    if parsed.scheme not in {"http", "https"}:
        raise EgressError(
            Reason.NOT_ALLOWED, f"{parsed.scheme[:16] or 'no'} scheme: only http and https are used"
        )
    if parsed.userinfo or not _HOST.fullmatch(host):
        raise EgressError(Reason.NOT_ALLOWED, "the URL has no host that can be, or a user in it")
    # Port 0 is one that was named, and on no list.
    port = (443 if parsed.scheme == "https" else 80) if parsed.port is None else parsed.port
    covering = [one for one in hosts if one.covers(host, port)]
    if not covering:
        raise EgressError(Reason.NOT_ALLOWED, f"{host} with port {port} is not on the list of allowed hosts")
    private = any(one.private_address for one in covering)
    return Target(parsed.copy_with(fragment=None), host, port, private)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def usable(addresses: Sequence[str], target: Target) -> list[str]:
    """Leave out the addresses that are not of the public Internet. Raises EgressError where none is left."""
    if target.private_address:
        left = list(addresses)
    else:
        left = [address for address in addresses if _is_public(address)]
    if not left:
        raise EgressError(Reason.NOT_ALLOWED, f"{target.host} has no address of the public Internet")
    return left


def _is_public(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        # Such as an IPv6 address with its zone, which is link-local.
        return False
    # Site-local addresses were given up (RFC 3879), but networks have them still.
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    inner = [address, *_embedded(address)]
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in inner)


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that a packet to this IPv6 address may end at: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(address.packed[-4:]))
    return [one for one in found if one is not None]


class Gate:
    """A host's door for one kind of question: so many at a time, and a pause after failures in a row.

    After the pause one caller may try; the others wait for the outcome of no try, they are refused until it went well.
    """

    def __init__(
        self, settings: EgressSettings, clock: Callable[[], float], places: asyncio.Semaphore
    ) -> None:
        """`clock` is monotonic, in seconds; `places` are the host's, shared by all its doors."""
        self._limit, self._pause = settings.failures_to_pause, settings.pause_seconds
        self._places, self._clock = places, clock
        self._failures = 0
        self._until = 0.0
        self._trying = False
        self._inside = 0

    @property
    def paused(self) -> bool:
        """True while the host is left alone."""
        return self._failures >= self._limit and self._clock() < self._until

    @property
    def idle(self) -> bool:
        """True where nothing would be forgotten with this object."""
        return self._inside == 0 and self._failures == 0

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Wait for a place. Raises EgressError (UNREACHABLE) at once while the host is left alone."""
        self._inside += 1
        try:
            self._refuse_while_paused(host)
            async with self._places:
                # Those who waited while the last tries failed do not try on.
                self._refuse_while_paused(host)
                self._trying = self._failures >= self._limit
                try:
                    yield
                finally:
                    self._trying = False
        finally:
            self._inside -= 1

    def _refuse_while_paused(self, host: str) -> None:
        if self.paused or (self._failures >= self._limit and self._trying):
            raise EgressError(
                Reason.UNREACHABLE, f"{host} failed {self._failures} times and is left alone for now"
            )

    def answered(self) -> None:
        """Note that the host answered."""
        self._failures = 0

    def failed(self) -> bool:
        """Note that it did not; return whether the pause begins with this."""
        self._failures += 1
        if self._failures < self._limit:
            return False
        self._until = self._clock() + self._pause
        return True


_Door = tuple[str, int, str, str]
"""Host, port, scheme, kind of question."""


class Gates:
    """The gates that were asked for lately; bounded, because a list entry may cover any number of names.

    Addresses come from certificates that anybody may send. So failures count for what was asked alone: who names a
    slow address, or plain HTTP on a TLS port, has this kind of question left alone there, and nothing else of the host.
    """

    def __init__(self, settings: EgressSettings, clock: Callable[[], float]) -> None:
        """Start with none."""
        self._settings, self._clock = settings, clock
        self._gates: OrderedDict[_Door, Gate] = OrderedDict()
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, target: Target, kind: str) -> Gate:
        """Return the gate for a kind of question to a host, by scheme and port."""
        door = (target.host, target.port, target.url.scheme, kind)
        gate = self._gates.get(door)
        if gate is None:
            places = self._places.get(target.host)
            if places is None:
                places = self._places[target.host] = asyncio.Semaphore(self._settings.connections_per_host)
            gate = self._gates[door] = Gate(self._settings, self._clock, places)
        self._gates.move_to_end(door)
        if len(self._gates) > MAX_GATES:
            self._forget_one()
        return gate

    def paused(self) -> int:
        """Return of how many hosts something is left alone now."""
        return len({host for (host, *_), gate in self._gates.items() if gate.paused})

    def _forget_one(self) -> None:
        name = next((name for name, gate in self._gates.items() if gate.idle), None)
        # Where each has something to remember, the one that was asked longest ago goes.
        self._gates.pop(name if name is not None else next(iter(self._gates)))
