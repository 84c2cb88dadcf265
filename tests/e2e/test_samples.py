"""Each sample ends with the outcome in its file, through kubectl and an operator; the pages show the real output."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.controlplane.plane import KUBECTL
from tests.demo.samples import FOLDER, is_finished, read_samples
from tests.e2e.pages import BLOCK, ROOT, read_examples
from tests.e2e.transcripts import check_page, run_command
from tests.sagemaker.program import Options
from trainingjob_operator.logic.objects.fields import to_request

if TYPE_CHECKING:
    from tests.controlplane.plane import Cluster
    from tests.e2e.objects import Jobs
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn


@pytest.mark.parametrize("sagemaker", [Options(scale=0.25)], indirect=True)
def test_each_sample_ends_with_the_outcome_in_its_file(
    jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn
) -> None:
    jobs.kubectl("apply", "-f", str(FOLDER))
    for sample in read_samples():
        if sample.deleted_in is not None:
            jobs.wait(
                sample.name,
                sample.deleted_in,
                lambda body: body.get("status", {}).get("secondaryStatus") == sample.deleted_in,  # noqa: B023  called at once
            )
            jobs.kubectl("delete", "trainingjob", sample.name, "--timeout=30s")
            job = sagemaker.job(sample.job_name)
            assert job is not None
            assert job["description"]["TrainingJobStatus"] == sample.ends_as
    for sample in read_samples():
        if sample.deleted_in is None:
            body = jobs.wait(sample.name, "its end", lambda body: is_finished(body.get("status", {})), seconds=40)
            assert sample.find_difference(body["status"]) is None


@pytest.mark.parametrize("sagemaker", [Options(seconds=(2, 3))], indirect=True)
def test_each_job_by_example_completes_and_the_pages_show_it(
    jobs: Jobs,
    operator: OperatorProcess,
    sagemaker: StandIn,
    control_plane: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Run them in the order of a reader: jobs by example, the status of one, the quick start, which deletes it."""
    monkeypatch.chdir(ROOT)
    for name, value in {**sagemaker.environment(), "KUBECTL": KUBECTL}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    run = partial(run_command, jobs)
    run("kubectl apply -f deploy/samples/jobs/")
    run("kubectl wait --for=condition=Settled trainingjobs --all --timeout=50s")
    for example in read_examples():
        body = yaml.safe_load(example.file.read_text())
        name = body["metadata"]["name"]
        status = jobs.status(name)
        assert status["outcome"] == "Succeeded", example.title
        assert set(example.status_fields) <= status.keys(), example.title
        [create] = sagemaker.effects("CreateTrainingJob", job=name)
        assert {**to_request(body["spec"]), "Tags": create["request"]["Tags"]} == create["request"], example.title
    update = request.config.getoption("update_golden")
    check_page("docs/status.md", run, update=update)
    for page in ("docs/status.md", "docs/quick-start.md"):
        for command in commands_about_examples(page):
            run(command)
    assert jobs.get("churn-xgboost") is None


def commands_about_examples(page: str) -> list[str]:
    """The kubectl commands of a page about the examples; the others need the demo or an installation."""
    text = (ROOT / page).read_text()
    commands = [line.strip() for block in BLOCK.findall(text) for line in block.splitlines()]
    return [command for command in commands if re.match(r"kubectl .*(churn-xgboost|built-in-algorithm)", command)]
