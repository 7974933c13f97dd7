"""`python -m deploy.local run|demo|stop|tools`: the one-machine platform; `make help` says what each is for."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from deploy.local import demo, settings
from deploy.local.console import PlatformError, say, step
from deploy.local.platform import stop
from deploy.local.tools import LAUNCHERS, Tools

TEST_PROGRAMS = {
    "openssl": ("openssl",),
    "xmlsec1": ("xmlsec1",),
    "gcc": ("gcc", "libc6-dev"),
    **dict.fromkeys(("pdftoppm", "pdftotext", "pdffonts"), ("poppler-utils",)),
}
"""Programs that only tests use, and the packages that bring them."""


def _stop(_: argparse.Namespace) -> int:
    for kind in ("platform", "demo"):
        if stop(settings.load(kind)):
            say(f"The {kind} was stopped")
    return 0


def _tools(_: argparse.Namespace) -> int:
    tools = Tools()
    with step("tools of the tests") as current:
        programs = [tools.softhsm_util(), tools.pdfsig()]
        programs += [tools.program(name, *packages) for name, packages in TEST_PROGRAMS.items()]
        found = [tools.nats_server(), tools.softhsm_module(), tools.serif_fonts()]
        found += [tools.launcher(program, LAUNCHERS) for program in programs]
        current.note(", ".join(path.name for path in found))
    return 0


def _run(_: argparse.Namespace) -> int:
    return _interruptible(demo.run(settings.load("platform")))


def _demo(arguments: argparse.Namespace) -> int:
    return _interruptible(demo.demo(settings.load("demo"), arguments.pdf))


def _interruptible(work: demo.Work) -> int:
    """Run `work`; Ctrl-C and SIGTERM cancel it, so that it stops what it started."""

    async def watched() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        say("Stopped before it was done")
        return 130


def main(arguments: list[str]) -> int:
    """Entry point; the exit code is 1 when something went wrong that the last lines tell."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("run", help="start the platform with demo data; it stays up").set_defaults(call=_run)
    showing = commands.add_parser("demo", help="sign and verify a PDF on a platform of its own, then stop it")
    showing.add_argument(
        "--pdf", type=Path, metavar="PATH", help="your own file instead of the demo's letter"
    )
    showing.set_defaults(call=_demo)
    commands.add_parser("stop", help="stop the platform that `run` started").set_defaults(call=_stop)
    commands.add_parser("tools", help="find or fetch the programs that the tests need").set_defaults(
        call=_tools
    )
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.call(parsed)
    except PlatformError as wrong:
        say(f"\n{wrong}")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
