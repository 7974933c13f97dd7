"""What `make demo` and `make run` show: a letter signed by a key inside a PKCS#11 token, and what becomes of a changed one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.local import independent
from deploy.local.bus import OUTSIDE
from deploy.local.console import PlatformError, say, step
from deploy.local.demo_data import DemoData, provide_demo_data, recorded_client
from deploy.local.letter import make_letter
from deploy.local.platform import Platform, running, until_asked_to_stop
from deploy.local.processes import OPERATOR_ID, operator_secret_file
from deploy.local.rest import Api
from deploy.local.secretfiles import read_secret, write_secret
from deploy.local.settings import HOST, Settings
from deploy.local.tools import VAR, Tools

Work = Awaitable[int]
FOLDER = VAR / "demo"
MAX_PDF_BYTES = 100 * 1024 * 1024


async def demo(settings: Settings, pdf: Path | None) -> int:
    """Start a platform, show the whole road, stop everything; 0 if every step held."""
    started = time.monotonic()
    source = _own_file(pdf)
    # A demo is nobody's fixed address: where its usual ports are taken it takes others.
    settings = replace(settings, ports=settings.ports.with_free_ones())
    tools = Tools()
    async with running(settings, tools, recorded_client(settings.state)) as platform:
        await _show(platform, tools, source)
    say(
        f"\nDone in {time.monotonic() - started:.1f} s: {_short(FOLDER / 'signed.pdf')} holds the signed file."
    )
    say(
        f"Metrics and logs of this run are in {_short(FOLDER)} and {_short(settings.logs)}. `make run` keeps a platform up."
    )
    return 0


async def run(settings: Settings) -> int:
    """Start a platform, show the road once, and stay up until asked to stop."""
    tools = Tools()
    async with running(settings, tools, recorded_client(settings.state)) as platform:
        data = await _show(platform, tools, None)
        _tell_addresses(platform, data)
        await until_asked_to_stop()
    return 0


async def _show(platform: Platform, tools: Tools, source: Path | None) -> DemoData:
    operator_secret = read_secret(operator_secret_file(platform.settings))
    async with Api(platform.url, OPERATOR_ID, operator_secret) as operator:
        data = await provide_demo_data(operator, platform.settings.state)
    platform.admit_outside_system(data.client_id)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if source is None:
        source = FOLDER / "letter.pdf"
        with step("the letter (công văn), two pages") as current:
            source.write_bytes(make_letter(tools.serif_fonts()))
            current.note(_short(source))
    async with Api(platform.url, data.client_id, read_secret(data.secret_file)) as api:
        signed = await _sign(api, data, source)
        await _verify(api, tools, signed)
        await _verify_changed(api, signed)
    await _keep_metrics(platform)
    return data


async def _sign(api: Api, data: DemoData, source: Path) -> Path:
    request = {
        "credential_id": data.credential_id,
        "format": "pades",
        "document_type": "cong-van",
        "label": "none",
    }
    signed = FOLDER / "signed.pdf"
    with step("sign through POST /v1/signatures") as current:
        result = await api.sign(request, source)
        signed.write_bytes(result)
        current.note(f"{source.stat().st_size} bytes in, {len(result)} bytes out, {_short(signed)}")
    return signed


async def _verify(api: Api, tools: Tools, signed: Path) -> None:
    with step("verify through POST /v1/verifications") as current:
        signature = _last_signature(await api.verify(signed.read_bytes(), signed.name))
        _require(signature, "TOTAL-PASSED", "")
        current.note(f"{signature['indication']}, {signature['format']}")
    say(f"        vi: {signature['sentence_vi']}")
    say(f"        en: {signature['sentence_en']}")
    with step("ask a program that is not ours") as current:
        current.note(independent.check(tools, signed))


async def _verify_changed(api: Api, signed: Path) -> None:
    changed, offset = independent.flip_one_byte(signed.read_bytes())
    path = signed.with_name("changed.pdf")
    path.write_bytes(changed)
    with step(f"change byte {offset} of the signed range and verify again") as current:
        signature = _last_signature(await api.verify(changed, path.name))
        _require(signature, "TOTAL-FAILED", "HASH_FAILURE")
        current.note(f"{signature['indication']} {signature['sub_indication']}")
    say(f"        vi: {signature['sentence_vi']}")
    say(f"        en: {signature['sentence_en']}")


def _last_signature(report: dict[str, Any]) -> dict[str, Any]:
    signatures = report.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise PlatformError(f"the verifier found no signature: {report}")
    return dict(signatures[-1])


def _require(signature: dict[str, Any], indication: str, sub_indication: str) -> None:
    found = (signature.get("indication"), signature.get("sub_indication") or "")
    if found != (indication, sub_indication):
        raise PlatformError(
            f"the verifier should say {indication} {sub_indication}, and said {found[0]} {found[1]}: {signature}"
        )


def _own_file(pdf: Path | None) -> Path | None:
    """Check the user's own file before anything is started."""
    if pdf is None:
        return None
    if not pdf.is_file():
        raise PlatformError(f"{pdf} is not a file: give the path of a PDF, as in `make demo PDF=letter.pdf`")
    size = pdf.stat().st_size
    if size > MAX_PDF_BYTES:
        raise PlatformError(f"{pdf} has {size} bytes; the platform takes up to {MAX_PDF_BYTES}")
    return pdf


async def _keep_metrics(platform: Platform) -> None:
    with step("keep what /metrics shows now") as current:
        for name, text in (await platform.metrics()).items():
            (FOLDER / f"metrics-{name}.txt").write_text(text, encoding="utf-8")
        current.note(f"{_short(FOLDER)}/metrics-*.txt")


def _tell_addresses(platform: Platform, data: DemoData) -> None:
    ports = platform.settings.ports
    _provide_example(data)
    say("\nThe platform is up. Ctrl-C or `make stop` ends it.")
    say(f"  REST API, docs   {platform.url}/docs")
    say(f"  client id        {data.client_id}")
    say(f"  its secret       in {_short(data.secret_file)}")
    say(f"  credential       {data.credential_id}")
    say(f"  bus              tls://{HOST}:{ports.bus}, CA in {_short(platform.bus_ca_file)}")
    say(
        f"  bus user         {OUTSIDE}, for this client's own jobs and results; password in {_short(platform.outside_password_file)}"
    )
    for name in ("gateway", "signer", "verifier", "registry"):
        say(f"  {name + ' metrics':<16} http://{HOST}:{getattr(ports, name + '_metrics')}/metrics")
    say(f"  logs             {_short(platform.settings.logs)}/")


def _provide_example(data: DemoData) -> None:
    """Write what the commands in the README read, under fixed names, so that they work as they stand there."""
    folder = VAR / "example"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(FOLDER / "letter.pdf", folder / "letter.pdf")
    (folder / "credential_id").write_text(data.credential_id + "\n", encoding="utf-8")
    # curl reads the secret from here: on its command line anyone on the machine could read it.
    write_secret(folder / "client.curl", f'user = "{data.client_id}:{read_secret(data.secret_file)}"')


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(VAR.parent))
    except ValueError:
        return str(path)
