"""Start and end: what is missing is one sentence with an exit code, SIGTERM is quick, and no secret is ever told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import pytest

from tests.controlplane.plane import ControlPlane, choose_cluster, write_kubeconfig
from tests.e2e.objects import training_job
from tests.e2e.operator_process import OperatorProcess, await_true

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

END_SECONDS = 5.0
CA_BUNDLE = str(Path(botocore.__file__).with_name("cacert.pem"))


def fail_to_start(operator: OperatorProcess) -> tuple[int, str]:
    """The exit code, and the one line of the log that is neither below warning nor a library's."""
    operator.start(wait=False)
    code = operator.process.wait(30)
    [line] = [line for line in operator.lines() if line["level"] not in ("debug", "info")]
    assert "Traceback" not in operator.log.read_text()
    return code, line["msg"]


def test_without_credentials_it_says_how_to_give_them(
    control_plane: Cluster, crd: None, sagemaker: StandIn, tmp_path: Path
) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    code, sentence = fail_to_start(OperatorProcess(control_plane, sagemaker, tmp_path, environment=nothing))
    assert code == 1
    assert sentence.startswith("The AWS credentials do not work (NoCredentialsError: ")
    assert "IRSA, Pod Identity" in sentence


def test_with_refused_credentials_it_says_why(
    control_plane: Cluster, crd: None, sagemaker: StandIn, tmp_path: Path
) -> None:
    sagemaker.identity(refused_keys={"AKIA123456789012": "InvalidClientTokenId"})
    code, sentence = fail_to_start(OperatorProcess(control_plane, sagemaker, tmp_path))
    assert code == 1
    assert sentence.startswith("The AWS credentials do not work (InvalidClientTokenId: ")


def test_when_aws_is_out_of_reach_it_does_not_blame_the_credentials(
    control_plane: Cluster, crd: None, sagemaker: StandIn, tmp_path: Path
) -> None:
    nowhere = "--aws-identity-endpoint-url=http://127.0.0.1:1"
    code, sentence = fail_to_start(OperatorProcess(control_plane, sagemaker, tmp_path, nowhere))
    assert code == 1
    assert sentence.startswith("AWS can't be asked whose credentials these are (EndpointConnectionError: ")
    assert "check the network" in sentence


def test_an_identity_that_is_not_told_at_once_is_asked_for_again(new_operator: NewOperator, sagemaker: StandIn) -> None:
    sagemaker.identity(unavailable=2)
    operator = new_operator()
    operator.start()
    waits = [line["msg"] for line in operator.lines() if "whose credentials" in str(line["msg"])]
    assert len(waits) == 2
    assert "ServiceUnavailable" in waits[0]


def test_without_a_region_it_names_flag_and_variable(
    control_plane: Cluster, sagemaker: StandIn, tmp_path: Path
) -> None:
    operator = OperatorProcess(control_plane, sagemaker, tmp_path, "--aws-region=", environment={"AWS_REGION": ""})
    operator.start(wait=False)
    assert operator.process.wait(30) == 2
    said = operator.log.read_text()
    assert said == "trainingjob-operator: --aws-region is missing: give it, or set AWS_REGION.\n"


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A control plane that knows no TrainingJobs."""
    plane = choose_cluster(os.environ)()
    if not isinstance(plane, ControlPlane):
        pytest.skip("a cluster that is given may have the CRD for a reason")
    with plane:
        yield plane


def test_without_the_crd_it_says_how_to_install_it(bare: Cluster, sagemaker: StandIn, tmp_path: Path) -> None:
    code, sentence = fail_to_start(OperatorProcess(bare, sagemaker, tmp_path))
    assert code == 1
    assert "does not serve trainingjobs" in sentence
    assert "kubectl apply --server-side -k crds" in sentence


def test_without_rights_it_says_which_and_where_they_are(
    control_plane: Cluster, crd: None, namespace: str, sagemaker: StandIn, tmp_path: Path
) -> None:
    nobody = control_plane.kubeconfig_of_service_account(namespace, "default", tmp_path)
    code, sentence = fail_to_start(OperatorProcess(control_plane, sagemaker, tmp_path, kubeconfig=nobody))
    assert code == 1
    assert "may not list trainingjobs.sagemaker.services.k8s.aws in all namespaces" in sentence
    assert "deploy/" in sentence


def test_without_an_api_server_it_says_what_to_check(
    control_plane: Cluster, sagemaker: StandIn, tmp_path: Path
) -> None:
    nowhere = write_kubeconfig(tmp_path / "nowhere", {"server": "https://127.0.0.1:1"}, {"token": "x"})
    code, sentence = fail_to_start(OperatorProcess(control_plane, sagemaker, tmp_path, kubeconfig=nowhere))
    assert code == 1
    assert sentence.startswith("The API server can't be reached (")
    assert "kubeconfig" in sentence


@pytest.mark.parametrize("environment", [{}, {"AWS_CA_BUNDLE": CA_BUNDLE}], ids=["plain", "AWS_CA_BUNDLE"])
def test_it_ends_within_seconds_of_sigterm_whatever_is_under_way(
    control_plane: Cluster,
    jobs: Jobs,
    namespace: str,
    sagemaker: StandIn,
    tmp_path: Path,
    environment: Mapping[str, str],
) -> None:
    flag = f"--watch-namespace={namespace}"
    operator = OperatorProcess(control_plane, sagemaker, tmp_path, flag, environment=environment)
    with operator:
        jobs.apply(*(training_job(f"job-{number}") for number in range(5)))
        for number in range(5):
            jobs.wait_status(f"job-{number}", "InProgress")
        sagemaker.fault("delay", amount=20.0)  # every call from now on hangs
        calls = sagemaker.total()
        await_true("a call hangs", lambda: sagemaker.total() > calls)
        code, seconds = operator.terminate()
    assert code == 0
    assert seconds < END_SECONDS
    assert "Traceback" not in operator.log.read_text()


def test_it_ends_within_seconds_of_sigterm_when_idle(new_operator: NewOperator) -> None:
    operator = new_operator()
    operator.start()
    code, seconds = operator.terminate()
    assert code == 0
    assert seconds < END_SECONDS


SECRET = "hunter2-in-the-clear"


def test_environment_and_hyperparameters_are_told_nowhere(
    jobs: Jobs, new_operator: NewOperator, sagemaker: StandIn
) -> None:
    secrets = {"environment": {"PASSWORD": SECRET}, "hyperParameters": {"token": SECRET}}
    quoting = (
        f"1 validation error detected: Value '{{PASSWORD={SECRET}}}' at 'environment' failed to satisfy constraint: "
        "Map value must satisfy constraint"
    )
    operator = new_operator()
    operator.start()
    for values in ({"kind": "throttle"}, {"kind": "garbage"}, {"kind": "drop", "after": True}):
        sagemaker.fault(operation="CreateTrainingJob", job="quiet", count=1, **values)
    invalid: dict[str, Any] = {"code": "ValidationException", "message": quoting, "status": 400}
    sagemaker.fault("error", "CreateTrainingJob", job="refused", **invalid)
    sagemaker.plan(seconds=1)
    jobs.apply(training_job("quiet", **secrets), training_job("refused", **secrets))
    jobs.wait_condition("refused", "ACK.Terminal")
    jobs.wait_status("quiet", "Completed")
    await_true("its last Event", lambda: any(event["reason"] == "JobCompleted" for event in jobs.events("quiet")))

    sent = sagemaker.effects("CreateTrainingJob", job="quiet")[0]["request"]
    assert SECRET in json.dumps(sent)
    assert operator.lines()
    assert SECRET not in operator.log.read_text()
    assert SECRET not in jobs.kubectl("get", "events", "--output=json")
    assert SECRET not in operator.ask("metrics")[1]
    for name in ("quiet", "refused"):
        assert SECRET not in json.dumps(jobs.status(name))
