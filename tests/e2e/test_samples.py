"""Each sample ends as its file says, through kubectl and an operator of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.demo.samples import FOLDER, is_finished, read_samples
from tests.sagemaker.program import Options

if TYPE_CHECKING:
    from tests.e2e.objects import Jobs
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn


@pytest.mark.parametrize("sagemaker", [Options(scale=0.25)], indirect=True)
def test_each_sample_ends_as_its_file_says(jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn) -> None:
    jobs.kubectl("apply", "-f", str(FOLDER))
    for sample in read_samples():
        if sample.deleted_in is not None:
            jobs.wait(
                sample.name,
                sample.deleted_in,
                lambda body: body.get("status", {}).get("secondaryStatus") == sample.deleted_in,  # noqa: B023  asked at once
            )
            jobs.kubectl("delete", "trainingjob", sample.name, "--timeout=30s")
            job = sagemaker.job(sample.job_name)
            assert job is not None
            assert job["description"]["TrainingJobStatus"] == sample.ends_as
    for sample in read_samples():
        if sample.deleted_in is None:
            body = jobs.wait(sample.name, "its end", lambda body: is_finished(body.get("status", {})), seconds=40)
            assert sample.find_difference(body["status"]) is None
