"""The door of the work queue: one job that nobody foresaw decides about itself only."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from services.kernel.errors import FieldInvalid
from services.kernel.runtime.consumer import Disposition, Message, Park
from services.signer.consumers import JOB_ATTEMPTS, JobFeed
from services.signer.service.jobs import JobSigning, Next
from services.signer.service.requests import SigningJob, read_job
from tests.support.rpc import make_runtime


class Jobs:
    """Breaks over one job and counts the others."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def take(self, job: SigningJob, client_id: str, request_id: str, *, last: bool) -> Next:
        if job.job_id == "bad":
            raise ValueError("nobody foresaw this")
        self.done.append(job.job_id)
        return Next.DONE


def message(job_id: str, deliveries: int = 1) -> Message:
    data = json.dumps({"job_id": job_id}).encode()
    return Message("kyso.job.cl_1.sign.high", data, {}, deliveries, 1, cast("Any", None))


async def test_a_job_that_breaks_does_not_make_its_neighbours_run_twice() -> None:
    jobs = Jobs()
    feed = JobFeed(cast("JobSigning", jobs), make_runtime().telemetry)
    verdicts = await feed.handle([message("1"), message("bad"), message("2"), message("bad", JOB_ATTEMPTS)])
    assert verdicts[:3] == [Disposition.ACK, Disposition.RETRY, Disposition.ACK]
    assert isinstance(verdicts[3], Park)
    assert "ValueError" in verdicts[3].reason
    assert jobs.done == ["1", "2"]


@pytest.mark.parametrize("field", ["access_token", "upload_id", "job_id", "operation_id"])
@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "a\nb"])
def test_text_that_cannot_be_encoded_or_looked_up_is_refused(field: str, text: str) -> None:
    with pytest.raises(FieldInvalid, match=field):
        read_job(json.dumps({field: text}).encode())
