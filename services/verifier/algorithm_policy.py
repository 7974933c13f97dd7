"""Which algorithms may be relied on until when: cryptographic constraints as data (ETSI TS 119 312, EN 319 102-1 5.2.8).

A policy is a TOML file; the one in `policies/` is taken where the settings name no other. What an algorithm means and
whether its mathematics holds is `algorithms`' business: here is only whether it counts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 64 * 1024
SHIPPED = Path(__file__).parent / "policies" / "ts_119_312.toml"
_FAR = datetime.max.replace(tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)


class PolicyFileError(ValueError):
    """The policy cannot be used; the message says which row and what is wrong with it."""


class Purpose(StrEnum):
    """What an algorithm is used for."""

    SIGNATURE = "signature"
    CERTIFICATE = "certificate"
    TIME_STAMP = "time-stamp"


_EVERY = frozenset(Purpose)


@dataclass(frozen=True, slots=True)
class Row:
    """Some algorithms of one kind and the moment from which they are not allowed (None: no end is foreseen).

    `names` are digest labels ("SHA-256") or signature families ("RSA-PSS"); `bits` is the smallest key, 0 for digests.
    """

    names: frozenset[str]
    until: datetime | None = None
    bits: int = 0
    purposes: frozenset[Purpose] = _EVERY
    source: str = ""

    @property
    def end(self) -> datetime:
        """First moment at which the row allows nothing any more."""
        return self.until or _FAR

    def fields(self) -> dict[str, Any]:
        """The row as JSON values."""
        until = None if self.until is None else self.until.isoformat()
        purposes = sorted(p.value for p in self.purposes)
        names = sorted(self.names)
        return {
            "names": names,
            "until": until,
            "bits": self.bits,
            "purposes": purposes,
            "source": self.source,
        }

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Row:
        """Read what `fields` wrote."""
        until = None if fields["until"] is None else datetime.fromisoformat(fields["until"])
        purposes = frozenset(map(Purpose, fields["purposes"]))
        return cls(frozenset(fields["names"]), until, int(fields["bits"]), purposes, fields["source"])


@dataclass(frozen=True, slots=True)
class AlgorithmPolicy:
    """The rows of a policy. A digest, or a family with a key's size, that no row names was never allowed."""

    name: str
    digests: tuple[Row, ...]
    signatures: tuple[Row, ...]

    def digest_end(self, label: str, purpose: Purpose) -> datetime | None:
        """First moment at which the digest is not allowed for the purpose any more; None: it never was."""
        return _latest(r.end for r in self.digests if label in r.names and purpose in r.purposes)

    def signature_end(self, families: Collection[str], bits: int | None, purpose: Purpose) -> datetime | None:
        """The same for the best of some signature families, with a key of so many bits (None: of any size)."""
        return _latest(
            r.end
            for r in self.signatures
            if not r.names.isdisjoint(families) and (bits is None or bits >= r.bits) and purpose in r.purposes
        )

    def with_digest(self, label: str, until: datetime, purposes: Collection[Purpose]) -> AlgorithmPolicy:
        """The policy with a digest allowed until a moment besides."""
        row = Row(frozenset({label}), until, purposes=frozenset(purposes))
        return replace(self, digests=(*self.digests, row))

    def fields(self) -> dict[str, Any]:
        """The policy as JSON values, for another process."""
        return {
            "name": self.name,
            "digests": [row.fields() for row in self.digests],
            "signatures": [row.fields() for row in self.signatures],
        }

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> AlgorithmPolicy:
        """Read what `fields` wrote."""
        digests, signatures = (tuple(map(Row.of_fields, fields[k])) for k in ("digests", "signatures"))
        return cls(fields["name"], digests, signatures)


def _latest(ends: Iterable[datetime]) -> datetime | None:
    found = max(ends, default=_NEVER)
    return None if found == _NEVER else found


def load(path: Path, digests: Collection[str], families: Collection[str]) -> AlgorithmPolicy:
    """Read a policy whose rows name only these digests and signature families. Raises PolicyFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise PolicyFileError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
        stated = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyFileError(f"{path}: no TOML in UTF-8 ({error})") from error
    try:
        return _policy(stated, digests, families)
    except PolicyFileError as error:
        raise PolicyFileError(f"{path}: {error}") from error


def _policy(
    stated: Mapping[str, Any], digests: Collection[str], families: Collection[str]
) -> AlgorithmPolicy:
    unknown = set(stated) - {"name", "issued", "digest", "signature"}
    if unknown:
        raise PolicyFileError(f"{min(unknown)} is not known")
    name = stated.get("name")
    if not isinstance(name, str) or not name:
        raise PolicyFileError("name is missing")
    if not isinstance(stated.get("issued"), date):
        raise PolicyFileError("issued is missing, or no date such as 2026-11-22")
    policy = AlgorithmPolicy(
        name, _rows(stated, "digest", "names", digests), _rows(stated, "signature", "schemes", families)
    )
    if not policy.digests or not policy.signatures:
        raise PolicyFileError("a policy needs a digest and a signature that it allows")
    return policy


def _rows(stated: Mapping[str, Any], kind: str, key: str, known: Collection[str]) -> tuple[Row, ...]:
    rows = stated.get(kind, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PolicyFileError(f"{kind} is a list of tables: [[{kind}]]")
    return tuple(_row(row, f"{kind} {number}", key, known) for number, row in enumerate(rows, 1))


def _row(row: Mapping[str, Any], where: str, key: str, known: Collection[str]) -> Row:
    sized = key == "schemes"
    unknown = set(row) - {key, "until", "purposes", "source"} - ({"bits"} if sized else set())
    if unknown:
        raise PolicyFileError(f"{where}: {min(unknown)} is not known")
    names = _texts(row.get(key), where, key)
    for name in names:
        if name not in known:
            raise PolicyFileError(f"{where}: {name} is no {key[:-1]} known here ({', '.join(sorted(known))})")
    bits = row.get("bits", 0)
    if not isinstance(bits, int) or isinstance(bits, bool) or not (bits > 0 if sized else bits == 0):
        raise PolicyFileError(f"{where}: bits is the smallest size of a key, in bits")
    if not isinstance(row.get("source"), str) or not row["source"]:
        raise PolicyFileError(f"{where}: source is missing: say what the row rests on")
    purposes = _texts(row.get("purposes", [p.value for p in Purpose]), where, "purposes")
    if not set(purposes) <= {p.value for p in Purpose}:
        raise PolicyFileError(f"{where}: purposes are of {', '.join(p.value for p in Purpose)}")
    return Row(
        frozenset(names),
        _moment(row.get("until"), where),
        bits,
        frozenset(map(Purpose, purposes)),
        row["source"],
    )


def _texts(stated: object, where: str, key: str) -> list[str]:
    if not isinstance(stated, list) or not stated or not all(isinstance(one, str) for one in stated):
        raise PolicyFileError(f"{where}: {key} is a list of one name or more")
    return stated


def _moment(stated: object, where: str) -> datetime | None:
    if stated is None:
        return None
    if isinstance(stated, datetime) and stated.tzinfo is not None:
        return stated.astimezone(UTC)
    if isinstance(stated, date) and not isinstance(stated, datetime):
        return datetime.combine(stated, time(), UTC)
    raise PolicyFileError(f"{where}: until is a day such as 2029-01-01, or a time with its offset")
