"""Start and end: a missing prerequisite is reported and awaited, SIGTERM is quick, secrets stay hidden."""

from __future__ import annotations

import contextlib
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import pytest

from tests.controlplane.plane import KUBECTL, ControlPlane, choose_cluster, write_kubeconfig
from tests.crds.installation import install_crd
from tests.e2e.objects import training_job
from tests.e2e.operator_process import OperatorProcess, await_true
from tests.kubectl_plugin.mistakes import Mistake, check_section, read_warnings, show, show_refusal
from tests.kubectl_plugin.terminal import run_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Launch, NewOperator
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

END_SECONDS = 10.0
"""The grace period in deploy/; afterwards the kubelet kills the process."""
CA_BUNDLE = str(Path(botocore.__file__).with_name("cacert.pem"))


@pytest.fixture(scope="module")
def launch() -> Launch:
    """The program itself, because these tests are about its process."""
    return OperatorProcess


@contextlib.contextmanager
def waiting(operator: OperatorProcess, words: str) -> Iterator[str]:
    """An operator that waits for the topic of `words`: alive, not ready, with one sentence; yields the sentence."""
    operator.start(wait=False)
    try:
        await_true("readiness contains the words", lambda: words in operator.ask("readyz")[1], 60)
        assert operator.ask("readyz")[0] == 503
        assert operator.ask("healthz")[0] == 200
        yield complaint(operator)
        assert operator.process.poll() is None
        code, seconds = operator.terminate()
        assert (code, seconds < END_SECONDS) == (0, True)
        complaint(operator)
    finally:
        operator.stop()


def complaint(operator: OperatorProcess) -> str:
    """The only log line at level warning or above, except for lines of a credential plugin."""
    loud = [line for line in operator.lines() if line["level"] not in ("debug", "info")]
    [line] = [line for line in loud if not line["logger"].startswith("kubernetes.")]
    assert "Traceback" not in operator.log.read_text()
    return str(line["msg"])


def test_missing_credentials_are_reported_with_ways_to_provide_them(
    control_plane: Cluster, crd: None, sagemaker: StandIn, tmp_path: Path
) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with waiting(
        OperatorProcess(control_plane, sagemaker, tmp_path, environment=nothing), "waiting for AWS"
    ) as sentence:
        assert sentence.startswith("The AWS credentials are invalid (NoCredentialsError: ")
        assert "IRSA, Pod Identity" in sentence


def test_rejected_credentials_are_reported_with_the_error_of_sts(
    control_plane: Cluster,
    jobs: Jobs,
    sagemaker: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setenv("KUBECTL", KUBECTL)
    jobs.apply(training_job("first-job"))
    sagemaker.identity(refused_keys={"AKIA123456789012": "InvalidClientTokenId"})
    operator = OperatorProcess(control_plane, sagemaker, tmp_path)
    with waiting(operator, "waiting for AWS") as sentence:
        assert sentence.startswith("The AWS credentials are invalid (InvalidClientTokenId: ")
        await_true("the object is old enough", lambda: "no operator" in show("first-job", jobs.kubectl, jobs.namespace))
        shown = show("first-job", jobs.kubectl, jobs.namespace) + read_warnings(operator.log.read_text())
        check_section("Wrong credentials of the operator", shown, update=request.config.getoption("update_golden"))
        sagemaker.identity(refused_keys={})
        await_true("it is ready", lambda: operator.ask("readyz")[0] == 200, 30)


def test_an_unreachable_aws_is_not_reported_as_invalid_credentials(
    control_plane: Cluster, crd: None, sagemaker: StandIn, tmp_path: Path
) -> None:
    nowhere = "--aws-identity-endpoint-url=http://127.0.0.1:1"
    with waiting(OperatorProcess(control_plane, sagemaker, tmp_path, nowhere), "waiting for AWS") as sentence:
        assert sentence.startswith("STS at http://127.0.0.1:1 (--aws-identity-endpoint-url) did not answer")
        assert "EndpointConnectionError" in sentence
        assert "credentials are invalid" not in sentence


def test_the_operator_waits_for_aws_without_limit(new_operator: NewOperator, sagemaker: StandIn) -> None:
    sagemaker.identity(unavailable=4)
    operator = new_operator()
    operator.start()
    waits = [line for line in operator.lines() if "did not answer GetCallerIdentity" in str(line["msg"])]
    assert [line["level"] for line in waits] == ["warn", "debug", "debug", "debug"]
    assert "ServiceUnavailable" in waits[0]["msg"]
    assert f"STS at {sagemaker.url} (AWS_ENDPOINT_URL)" in waits[0]["msg"]


def test_a_missing_region_is_reported_with_flag_and_variable(
    control_plane: Cluster, sagemaker: StandIn, tmp_path: Path
) -> None:
    operator = OperatorProcess(control_plane, sagemaker, tmp_path, "--aws-region=", environment={"AWS_REGION": ""})
    operator.start(wait=False)
    assert operator.process.wait(30) == 2
    printed = operator.log.read_text()
    assert printed == "trainingjob-operator: --aws-region is required: set the flag, or set AWS_REGION.\n"


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A control plane without the CRD."""
    plane = choose_cluster(os.environ)()
    if not isinstance(plane, ControlPlane):
        pytest.skip("a cluster that is given may have the CRD for a reason")
    with plane:
        yield plane


def test_a_missing_crd_is_reported_with_the_command_and_the_operator_starts_once_it_exists(
    bare: Cluster,
    sagemaker: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(bare.kubeconfig))
    monkeypatch.setenv("KUBECTL", KUBECTL)
    operator = OperatorProcess(bare, sagemaker, tmp_path)
    with waiting(operator, "waiting for the watch") as sentence:
        shown = show_refusal(Mistake("", "first-job"), partial(bare.kubectl, "-n", "default"))
        shown += f"$ kubectl trainingjob list\n{run_plugin('list').err}"
        shown += read_warnings(operator.log.read_text())
        check_section("The CRD is missing", shown, update=request.config.getoption("update_golden"))
        assert "does not serve trainingjobs" in sentence
        assert "kubectl apply --server-side -k crds" in sentence
        install_crd(bare)
        await_true("it is ready", lambda: operator.ask("readyz")[0] == 200, 30)


def test_all_missing_rights_are_reported_in_one_line_with_the_user(
    control_plane: Cluster, crd: None, namespace: str, sagemaker: StandIn, tmp_path: Path
) -> None:
    nobody = control_plane.kubeconfig_of_service_account(namespace, "default", tmp_path)
    flags = ("--enable-leader-election", f"--system-namespace={namespace}")
    operator = OperatorProcess(control_plane, sagemaker, tmp_path, *flags, kubeconfig=nobody)
    with waiting(operator, "waiting for the watch") as sentence:
        assert sentence.startswith(f"The operator (system:serviceaccount:{namespace}:default) is not allowed to ")
        for words in (
            "list/watch/get/patch trainingjobs.sagemaker.services.k8s.aws, patch trainingjobs/status",
            "get namespaces, create events.events.k8s.io in all namespaces",
            "create leases.coordination.k8s.io",
            "get namespaces in namespace kube-system",
            "get configmaps ack-role-account-map",
            "apply the roles in deploy/",
        ):
            assert words in sentence


def test_an_unreachable_api_server_is_reported_before_any_call_of_aws(
    control_plane: Cluster, sagemaker: StandIn, tmp_path: Path
) -> None:
    nowhere = write_kubeconfig(tmp_path / "nowhere", {"server": "https://127.0.0.1:1"}, {"token": "x"})
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    operator = OperatorProcess(control_plane, sagemaker, tmp_path, kubeconfig=nowhere, environment=nobody)
    with waiting(operator, "waiting for the API server") as sentence:
        assert sentence.startswith("Cannot reach the API server https://127.0.0.1:1 (")
        assert "kubeconfig" in sentence


JUNK = {
    "absent": None,
    "empty": "",
    "binary": "\x00\x01",
    "text": "hello: [world\n",
    "another kind": "kind: Pod\n",
    "no context": "current-context: x\nclusters: []\nusers: []\ncontexts: []\n",
    "strings": "current-context: x\nclusters: x\nusers: y\ncontexts: z\n",
}
ENTRY = """
current-context: x
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {cluster}}}]
users: [{{name: u, user: {user}}}]
"""
JUNK |= {
    "no server": ENTRY.format(cluster="{}", user="{token: t}"),
    "no URL": ENTRY.format(cluster="{server: somewhere}", user="{token: t}"),
    "bad port": ENTRY.format(cluster='{server: "https://a:b"}', user="{token: t}"),
    "no credentials": ENTRY.format(cluster='{server: "https://127.0.0.1:1"}', user="{}"),
    "absent CA": ENTRY.format(
        cluster='{server: "https://127.0.0.1:1", certificate-authority: gone}', user="{token: t}"
    ),
    "junk CA": ENTRY.format(
        cluster='{server: "https://127.0.0.1:1", certificate-authority-data: eHh4}', user="{token: t}"
    ),
    "absent plugin": ENTRY.format(
        cluster='{server: "https://127.0.0.1:1"}',
        user="{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}",
    ),
}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_an_unusable_kubeconfig_is_reported_in_one_sentence(
    control_plane: Cluster, sagemaker: StandIn, tmp_path: Path, content: str | None
) -> None:
    junk = tmp_path / "config"
    if content is not None:
        junk.write_text(content)
    operator = OperatorProcess(control_plane, sagemaker, tmp_path, kubeconfig=junk)
    with waiting(operator, "waiting for the API server") as sentence:
        assert sentence.startswith(f"No usable credentials for the API server ({junk}): ")
        assert sentence.endswith("check the kubeconfig or the pod's service account.")
        assert "\n" not in sentence


@pytest.mark.parametrize("environment", [{}, {"AWS_CA_BUNDLE": CA_BUNDLE}], ids=["plain", "AWS_CA_BUNDLE"])
def test_the_operator_ends_within_seconds_of_sigterm_during_calls_without_answers(
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
        sagemaker.fault("delay", amount=20.0)  # every further call hangs
        calls = sagemaker.total()
        await_true("a call hangs", lambda: sagemaker.total() > calls)
        code, seconds = operator.terminate()
    assert code == 0
    assert seconds < END_SECONDS
    assert "Traceback" not in operator.log.read_text()


def test_an_idle_operator_ends_within_seconds_of_sigterm(new_operator: NewOperator) -> None:
    operator = new_operator()
    operator.start()
    code, seconds = operator.terminate()
    assert code == 0
    assert seconds < END_SECONDS


SECRET = "hunter2-in-the-clear"


def test_environment_and_hyperparameters_appear_nowhere(
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
