"""Structured logs and a private Prometheus registry.

One JSON line an event on stderr, with a constant event name and fields; the request id and the caller of the call
under way are added by themselves. Never logged: documents, tokens, PINs, secrets, whole messages.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from services.kernel.runtime.config import TelemetrySettings

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Identifier of the request that this task works for; carried across every hop as `x-request-id`."""
caller: ContextVar[str] = ContextVar("caller", default="")
"""Name of the service or client that asked, as its certificate or token names it."""
call_deadline: ContextVar[float | None] = ContextVar("call_deadline", default=None)
"""`time.monotonic()` at which the call under way ends, so that the calls it makes do not outlive it."""

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds; the same for every latency histogram, so that dashboards can compare them."""


class Telemetry:
    """What a part needs in order to be seen: a logger, and the registry that its metrics go into."""

    def __init__(self, name: str, settings: TelemetrySettings) -> None:
        """Set up logging of this process and an own registry with process, platform and GC metrics."""
        configure_logging(name, settings.log_level)
        self.name = name
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.log: FilteringBoundLogger = structlog.get_logger()


def _add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for variable in (request_id, caller):
        value = variable.get()
        if value and variable.name not in event:
            event[variable.name] = value
    return event


def configure_logging(name: str, level: str) -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines; `level` is debug to error."""
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = name
        return event

    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        _add_context,
        # The plain trace: the structured one would print local variables, and with them payloads.
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak only when something is wrong: their chatter may hold payloads.
    root.setLevel(max(number, logging.WARNING))
