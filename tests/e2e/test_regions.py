"""A misspelt region, a region not enabled for the account, and credentials that change to another account."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import KUBECTL
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true
from tests.kubectl_plugin.mistakes import await_finding, check_section, show

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Launch, Shared
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

pytestmark = pytest.mark.e2e

REGION = "services.k8s.aws/region"
OWN, OTHER = "123456789012", "210987654321"


def test_a_region_that_is_not_enabled_is_reported_and_delays_no_other_object(
    control_plane: Cluster,
    sagemaker: StandIn,
    tmp_path: Path,
    launch: Launch,
    jobs: Jobs,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setenv("KUBECTL", KUBECTL)
    environment = {  # with an explicit endpoint of the operator itself, the region is not the cause
        "AWS_ENDPOINT_URL": "",
        "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker.url,
        "AWS_ENDPOINT_URL_STS": sagemaker.url,
    }
    flags = (f"--watch-namespace={jobs.namespace}", "--aws-endpoint-url=")
    sagemaker.fault("error", "*", region="af-south-1", code="UnrecognizedClientException", status=403)
    with launch(control_plane, sagemaker, tmp_path, *flags, environment=environment):
        jobs.apply(training_job("far", annotations={REGION: "af-south-1"}), training_job("near"))
        jobs.wait_status("near", "InProgress")
        jobs.wait("far", "its region is named", lambda _: jobs.condition("far", "ACK.Recoverable"))
        message = jobs.condition("far", "ACK.Recoverable")["message"]
        assert "Region af-south-1 does not accept credentials that STS accepts" in message
        assert f"not enabled for account {OWN}" in message
        await_finding("far", jobs.kubectl)
        shown = show("far", jobs.kubectl, jobs.namespace)
        check_section("A region that is not enabled", shown, update=request.config.getoption("update_golden"))
        jobs.kubectl("annotate", "trainingjob", "far", "--overwrite", f"{REGION}={sagemaker.region}")
        jobs.wait_status("far", "InProgress")
        assert jobs.condition("far", "ACK.Recoverable") == {}


def test_a_misspelt_region_is_reported_at_once(shared: Shared) -> None:
    jobs = shared.jobs
    shared.sagemaker.fault("error", "*", region="us-esat-1", status=503)
    jobs.apply(training_job("misspelt", annotations={REGION: "us-esat-1"}))
    jobs.wait("misspelt", "the region is named", lambda _: jobs.condition("misspelt", "ACK.Advisory"))
    advisory = jobs.condition("misspelt", "ACK.Advisory")
    assert advisory["reason"] == "RegionUnknown"
    assert "us-esat-1" in advisory["message"]
    assert REGION in advisory["message"]


def test_credentials_of_another_account_stop_all_calls_and_readiness_names_the_account(
    crd: None, control_plane: Cluster, sagemaker: StandIn, namespace: str, tmp_path: Path, launch: Launch, jobs: Jobs
) -> None:
    keys = tmp_path / "credentials"

    def write_keys(name: str) -> None:
        keys.write_text(f"[default]\naws_access_key_id = {name}\naws_secret_access_key = secret\n")

    write_keys(f"AKIA{OWN}")
    environment = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SHARED_CREDENTIALS_FILE": str(keys),
    }
    sagemaker.plan(outcome="Running", seconds=0.5)
    with contextlib.ExitStack() as stack:
        operator = stack.enter_context(
            launch(control_plane, sagemaker, tmp_path, f"--watch-namespace={namespace}", environment=environment)
        )
        jobs.apply(training_job("running"))
        jobs.wait_status("running", "InProgress")
        write_keys(f"AKIA{OTHER}")
        sagemaker.identity(refused_keys={f"AKIA{OWN}": "ExpiredTokenException"})
        # a new session is made RENEWAL_SECONDS after its start at the earliest
        note = await_true(
            "readiness names the account",
            lambda: next((line for line in operator.ask("readyz")[1].splitlines() if OTHER in line), ""),
            60.0,
        )
        assert f"of account {OTHER} now, and were of {OWN}" in note
        jobs.apply(training_job("waits"))
        jobs.wait(
            "waits",
            "the account is named",
            lambda _: OTHER in jobs.condition("waits", "ACK.Recoverable").get("message", ""),
        )
        assert {call["account"] for call in sagemaker.calls() if not call["operation"].startswith("sts:")} <= {OWN, ""}
        sagemaker.identity(refused_keys={})
        write_keys(f"AKIA{OWN}")
        jobs.wait_status("waits", "InProgress", 60.0)
        await_true("the note is gone", lambda: OTHER not in operator.ask("readyz")[1], 20.0)
