"""Three bus servers with the cluster's own configuration and users: what the services need of them, they give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nats.js.errors import APIError

from services.kernel import events
from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime.bus import Bus
from tests.support.bus import event
from tests.support.nats_cluster import LAME_DUCK, NatsCluster, running_nats_cluster
from tests.support.nats_server import eventually
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

STREAMS = (events.STREAM_JOBS, events.STREAM_EVENTS, events.STREAM_RESULTS, events.STREAM_PARKED)
HELD = events.event_subject("credential", "held", "ag_1")
COMPLETED = events.event_subject("signature", "completed", "ag_1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, mesh_ca: MeshCa) -> Iterator[NatsCluster]:
    """The three servers; the last test ends one of them."""
    with running_nats_cluster(tmp_path_factory.mktemp("nats-cluster"), mesh_ca) as running:
        yield running


async def publishes(bus: Bus, subject: str) -> bool:
    """Tell whether an event is taken."""
    try:
        await bus.publish(event(subject))
    except ServiceUnavailable:
        return False
    return True


async def test_streams_get_three_copies(cluster: NatsCluster) -> None:
    async with (
        Bus.opened(cluster.settings("registry"), make_runtime()) as bus,
        # Each makes its own two.
        Bus.opened(cluster.settings("signer"), make_runtime()),
    ):
        jetstream = await bus.until_connected()

        async def copied() -> bool:
            try:
                for name in STREAMS:
                    info = await jetstream.stream_info(name)
                    if info.cluster is None or len(info.cluster.replicas or ()) != 2:
                        return False
            except (APIError, TimeoutError):
                # Not made yet: three servers agree on a leader first.
                return False
            return True

        await eventually(copied, seconds=90, what="four streams with three copies")


async def test_a_service_speaks_for_itself_only(cluster: NatsCluster) -> None:
    settings = cluster.settings("signer").model_copy(update={"publish_timeout_seconds": 2})
    async with Bus.opened(settings, make_runtime()) as signer:
        await eventually(lambda: publishes(signer, COMPLETED), seconds=90, what="the signer's own events")
        assert not await publishes(signer, HELD)


async def test_what_was_acknowledged_outlives_a_server_that_is_drained(cluster: NatsCluster) -> None:
    async with Bus.opened(cluster.settings("registry"), make_runtime()) as bus:
        await eventually(lambda: publishes(bus, HELD), seconds=90, what="an event to be taken")
        before = (await (await bus.until_connected()).stream_info(events.STREAM_EVENTS)).state.messages
        # As the cluster does it: the preStop command, then SIGTERM, which must not cut the draining short.
        assert cluster.drain(0) == 0
        assert LAME_DUCK in cluster.log(0)
        await eventually(lambda: publishes(bus, HELD), seconds=90, what="two servers to take events")
        after = (await (await bus.until_connected()).stream_info(events.STREAM_EVENTS)).state.messages
        # More than one where an acknowledgement was lost on the way: consumers know events by their id.
        assert after > before
