"""A start with the flags, variables, metrics and health paths of ACK's chart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.objects import training_job
from tests.e2e.operator_process import OperatorProcess, await_true
from trainingjob_operator.settings import IGNORED_FLAGS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

ACKS_TAGS = (
    "services.k8s.aws/controller-version=%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%,"
    "services.k8s.aws/namespace=%K8S_NAMESPACE%,"
    "app.kubernetes.io/managed-by=%MANAGED_BY%,"
    "kro.run/kro-version=%KRO_VERSION%"
)
ACKS_ARGUMENTS = [
    "--enable-development-logging=false",
    f"--resource-tags={ACKS_TAGS}",
    "--watch-selectors=",
    "--deletion-policy=delete",
    "--enable-leader-election=true",
    "--reconcile-default-max-concurrent-syncs=3",
    "--enable-carm=true",
    "--reconcile-default-resync-seconds=36000",
    "--reconcile-resource-resync-seconds=TrainingJob=60",
    "--reconcile-resource-max-concurrent-syncs=TrainingJob=3",
    "--reconcile-resources=Endpoint,TrainingJob",
    "--enable-cross-namespace=true",
    "--enable-field-export-reconciler=true",
    "--feature-gates=ReadOnlyResources=true,ResourceAdoption=true,ServiceLevelCARM=false",
    "--enable-webhook-server=false",
    "--webhook-server-addr=0.0.0.0:9433",
    "--aws-endpoint-use-path-style=false",
]


def test_settings_of_acks_chart_are_accepted_with_one_line_for_those_without_effect(
    new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    operator = new_operator(*ACKS_ARGUMENTS, f"--leader-election-namespace={namespace}")
    operator.start()
    sagemaker.plan(seconds=1)
    jobs.apply(training_job("as-ever"))
    jobs.wait_condition("as-ever", "Complete")
    warned = [line["msg"] for line in operator.lines() if "is accepted but has no effect" in line.get("msg", "")]
    assert sorted(line.partition(" ")[0] for line in warned) == sorted(IGNORED_FLAGS)
    (start,) = [line for line in operator.lines() if " runs as " in line.get("msg", "")]
    assert start["msg"].startswith("trainingjob-operator ")
    assert (start["region"], bool(start["cluster_id"])) == (sagemaker.region, True)
    leases = json.loads(jobs.kubectl("get", "leases", "-o", "json"))["items"]
    assert [lease["metadata"]["name"] for lease in leases] == ["trainingjob-operator.sagemaker.services.k8s.aws"]
    assert operator.ask("healthz")[0] == operator.ask("readyz")[0] == 200
    requests = operator.metric("ack_outbound_api_requests_total")
    created = [
        count for labels, count in requests.items() if 'op_id="CreateTrainingJob"' in labels and "CREATE" in labels
    ]
    assert created == [1.0]
    assert any('op_id="DescribeTrainingJob"' in labels and "READ_ONE" in labels for labels in requests)


@pytest.mark.e2e
@pytest.mark.parametrize("variables", [("ACK_SYSTEM_NAMESPACE",), ("K8S_NAMESPACE",)])
def test_the_system_namespace_comes_from_acks_variables(
    jobs: Jobs, control_plane: Cluster, sagemaker: StandIn, namespace: str, tmp_path: Path, variables: tuple[str, ...]
) -> None:
    account, role = "210987654321", "arn:aws:iam::210987654321:role/sagemaker"
    jobs.kubectl("annotate", "namespace", namespace, f"services.k8s.aws/owner-account-id={account}")
    jobs.kubectl("create", "configmap", "ack-role-account-map", f"--from-literal={account}={role}")
    environment = {"K8S_NAMESPACE": "elsewhere", **dict.fromkeys(variables, namespace)}
    watched = f"--watch-namespace={namespace}"
    with OperatorProcess(control_plane, sagemaker, tmp_path, watched, environment=environment):
        jobs.apply(training_job("theirs"))
        await_true("the job is created there", lambda: sagemaker.job("theirs", account=account))
