"""A Runtime without a process, and an address nobody uses, for tests of the chassis and of services in process."""

from __future__ import annotations

import socket

from services.kernel.runtime.config import TelemetrySettings
from services.kernel.runtime.health import Health
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.telemetry import Telemetry


def free_port() -> int:
    """Return a TCP port of the loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_runtime(name: str = "test") -> Runtime:
    """Make telemetry, health and runtime in the running event loop; nothing listens, no signal is handled."""
    telemetry = Telemetry(name, TelemetrySettings(http_listen="127.0.0.1:0", log_level="debug"))
    return Runtime(telemetry, Health(telemetry))
