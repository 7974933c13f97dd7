"""What is left unfinished is finished later, and one that never can be keeps neither the others nor the registry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kyso.v1 import common_pb2
from services.kernel.errors import ServiceUnavailable
from services.registry.domain.credentials import Credential
from services.registry.service import issuing
from services.registry.service.issuing import IssuingService
from tests.integration.registry.conftest import Stand
from tests.support.nats_server import eventually


async def test_credentials_that_can_never_be_finished_keep_no_other_from_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as one look takes fail with an error that nobody foresaw; they are older than the one that can be."""
    monkeypatch.setattr(issuing, "LEFT_ALONE", timedelta(0))
    monkeypatch.setattr(issuing, "RECONCILE_BATCH", 2)
    advance = IssuingService.advance
    failing: set[str] = set()

    async def advance_or_break(self: IssuingService, credential_id: str) -> Credential:
        if credential_id in failing:
            raise RuntimeError("nobody foresaw this")
        return await advance(self, credential_id)

    monkeypatch.setattr(IssuingService, "advance", advance_or_break)
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        subscriber = await operator.organization(await operator.agency())
        stand.signer.refuse = {"GenerateKey"}
        for number in range(3):
            with pytest.raises(ServiceUnavailable):
                await operator.credential(subscriber, f"left-{number}")
        made = [row.id for row in (await operator("ListCredentials")).credentials]
        failing.update(made[:2])
        stand.signer.refuse = set()

        async def finished() -> bool:
            row: Any = await operator("GetCredential", id=made[2])
            return bool(row.status == common_pb2.CREDENTIAL_STATUS_ACTIVE)

        await eventually(finished, what="the third credential is finished")
        assert not registry.task.done()
