"""Measure everything once, print a table, write var/bench.json."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import formats, pades, raw, verification_pdf, verification_workers, verification_xml_cms
from bench.drive import GrpcCallers, Measured, RestCallers, measure
from services.kernel.values import KeyAlgorithm
from tests.support.platform import Layout, running_platform
from tests.support.softhsm import SoftHsm, build_shim, find_module
from tests.support.world import World

RESULT = Path(__file__).resolve().parents[1] / "var" / "bench.json"
WORKERS = 2
SLOW_SIGN_SECONDS = 0.005
SLOW_SESSIONS = 8

Row = dict[str, str | float | None]


class Table:
    """The rows of one run."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: list[Row] = []

    def add(self, name: str, value: float, unit: str, against: tuple[str, float] | None = None) -> float:
        """Add and print a row; `against` is the name and value of what the ratio is taken to."""
        ratio = value / against[1] if against else None
        self.rows.append({
            "name": name, "value": round(value, 4), "unit": unit, "ratio": None if ratio is None else round(ratio, 4),
            "against": against[0] if against else None,
        })  # fmt: skip
        shown = "" if against is None or ratio is None else f"{ratio:8.3f}  of {against[0]}"
        print(f"{name:32} {value:10.3f}  {unit:22} {shown}", flush=True)
        return value


@contextmanager
def _world(folder: Path, layout: Layout) -> Iterator[World]:
    with running_platform(folder, layout) as platform:
        world = World(platform)
        try:
            yield world
        finally:
            world.close()


def _raw(table: Table, folder: Path) -> dict[str, tuple[str, float]]:
    softhsm = SoftHsm(folder / "raw")
    softhsm.create_token("raw")
    token = raw.Token(find_module(), softhsm.configuration, "raw", softhsm.pins["raw"])
    rsa = table.add("raw_rsa2048", raw.rate(token, KeyAlgorithm.RSA_2048, WORKERS), "C_Sign/s")
    p256 = table.add("raw_p256", raw.rate(token, KeyAlgorithm.ECDSA_P256, WORKERS), "C_Sign/s")
    return {"rsa": ("raw_rsa2048", rsa), "p256": ("raw_p256", p256)}


async def _grpc(table: Table, world: World, against: dict[str, tuple[str, float]]) -> None:
    platform = world.platform
    callers = GrpcCallers(platform.channel("gateway", "signer"), world.token(), 4)
    rsa, p256 = world.rsa_credential, world.ec_credential

    async def run(credential: str, count: int, batch: int) -> Measured:
        return await measure(platform, callers.calls(credential, count, batch))

    for count in (1, 16, 64):
        got = await run(rsa, count, 1)
        table.add(f"grpc_rsa2048_c{count}", got.per_second, "signatures/s", against["rsa"])
        if count == 16:
            table.add("own_cpu_ms_hash_single_rsa2048", got.own_cpu_ms, "ms/signature")
    got = await run(p256, 16, 1)
    table.add("grpc_p256_c16", got.per_second, "signatures/s", against["p256"])
    table.add("own_cpu_ms_hash_single", got.own_cpu_ms, "ms/signature")
    got = await run(p256, 8, 100)
    table.add("grpc_p256_batch100", got.per_second, "signatures/s", against["p256"])
    table.add("own_cpu_ms_hash_batch100", got.own_cpu_ms, "ms/signature")
    await callers.close()


async def _rest(table: Table, world: World, against: dict[str, tuple[str, float]]) -> None:
    callers = RestCallers(world)
    got = await measure(world.platform, [callers.hashes(world.rsa_credential, 1)] * 16)
    table.add("rest_rsa2048_c16", got.per_second, "signatures/s", against["rsa"])
    got = await measure(world.platform, [callers.hashes(world.ec_credential, 100)] * 8)
    table.add("rest_p256_batch100", got.per_second, "signatures/s", against["p256"])
    got = await measure(world.platform, [callers.document(world.rsa_credential, pades.one_page())] * 4)
    table.add("rest_pades_cpu_ms", got.own_cpu_ms, "ms/document")
    got = await measure(world.platform, [callers.document(world.rsa_credential, pades.one_page())] * 16)
    table.add("rest_pades_c16", got.per_second, "documents/s", against["rsa"])
    await callers.close()


async def _latency(table: Table, world: World) -> None:
    callers = GrpcCallers(world.platform.channel("gateway", "signer"), world.token(), 4)
    got = await measure(world.platform, callers.calls(world.ec_credential, 16, 1))
    ideal = SLOW_SESSIONS / SLOW_SIGN_SECONDS
    table.add("latency5ms_c16", got.per_second, "signatures/s", ("sessions / latency", ideal))
    await callers.close()


def main() -> int:
    """Return 0 when every row was measured."""
    table = Table()
    with tempfile.TemporaryDirectory(prefix="kyso-bench-") as name:
        folder = Path(name)
        against = _raw(table, folder)
        documents = {"workers": WORKERS}
        with _world(
            folder / "plain", Layout(overrides={"signer": {"hsm": {"documents": documents}}})
        ) as world:
            asyncio.run(_grpc(table, world, against))
            asyncio.run(_rest(table, world, against))
        slow = {
            "module": build_shim(folder), "workers": WORKERS, "sessions_per_worker": SLOW_SESSIONS // WORKERS,
            "environment": {
                "KYSO_SHIM_MODULE": str(find_module()),
                "KYSO_SHIM_SIGN_MICROSECONDS": str(int(SLOW_SIGN_SECONDS * 1e6)),
            },
        }  # fmt: skip
        with _world(folder / "slow", Layout(overrides={"signer": {"hsm": {"documents": slow}}})) as world:
            asyncio.run(_latency(table, world))
    for row in pades.rows():
        against_row = (
            (str(row["against"]), float(row["value"]) / float(row["ratio"])) if row.get("ratio") else None
        )
        table.add(str(row["name"]), float(row["value"]), str(row["unit"]), against_row)
    judged = (*verification_pdf.rows(), *verification_xml_cms.rows(), *verification_workers.rows())
    for measured in (*formats.rows(), *judged):
        table.add(measured.name, measured.value, measured.unit, measured.against)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(table.rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
