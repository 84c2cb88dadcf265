"""The image in Pods of a Deployment, run by a real kubelet; in the order of events in a cluster."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import KubectlError
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true
from tests.node.installation import claims

if TYPE_CHECKING:
    from tests.e2e.objects import Jobs
    from tests.node.installation import Installation
    from tests.node.node import Node
    from tests.sagemaker.stand_in import StandIn

CONFINEMENT = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
errors = {}
for folder in ("/", "/tmp", "/opt/operator", os.path.expanduser("~")):
    try:
        open(os.path.join(folder, "probe"), "w")
    except OSError as error:
        errors[folder] = error.strerror
names = ("Uid", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd")
print(json.dumps({"errors": sorted(set(errors.values())), **{name: status[name].split()[0] for name in names}}))
"""


def test_a_job_lives_from_apply_to_completed_and_another_is_stopped_with_its_object(
    node: Node, installation: Installation, jobs: Jobs, stand_in: StandIn
) -> None:
    stand_in.plan("short", seconds=1)
    jobs.apply(training_job("short"), training_job("long"))
    jobs.wait_status("short", "Completed")
    jobs.wait_status("long", "InProgress")
    jobs.delete("long")
    jobs.wait_gone("long")
    assert len(stand_in.calls("StopTrainingJob", job="long")) == 1
    assert all(pod.is_ready and pod.restarts == 0 for pod in installation.pods())


def test_helm_test_checks_every_pod(node: Node, installation: Installation) -> None:
    report = installation.test()
    assert "Succeeded" in report
    for pod in installation.pods():
        assert f"{pod.address}: ok" in report


def test_the_container_is_confined(node: Node, installation: Installation) -> None:
    for pod in installation.pods():
        assert json.loads(installation.run(pod, CONFINEMENT)) == {
            "errors": ["Read-only file system"],
            "Uid": "65532",
            "NoNewPrivs": "1",
            "Seccomp": "2",  # a filter
            "CapEff": "0000000000000000",
            "CapBnd": "0000000000000000",
        }


def test_a_new_pod_is_ready_soon_after_its_start(
    node: Node, installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    leader = installation.await_leader()
    [standby] = [pod for pod in installation.pods() if pod.uid != leader.uid]
    before = node.addresses()
    installation.kubectl("delete", "pod", standby.name, "--wait=false")
    [address] = await_true("it has an address", lambda: node.addresses() - before, pause=0.02)
    await_true("it is ready", lambda: installation.ask(address, "readyz") == 200, pause=0.02)
    ready = time.clock_gettime(time.CLOCK_BOOTTIME)
    installation.await_rollout()
    [new] = [pod for pod in installation.pods() if pod.address == address]
    ticks = int(Path(f"/proc/{installation.process_id(new)}/stat").read_text().rpartition(")")[2].split()[19])
    seconds = ready - ticks / os.sysconf("SC_CLK_TCK")
    with capsys.disabled():
        print(f" start to ready: {seconds:.2f} s", end=" ")
    assert seconds < 15


def test_a_deleted_leader_releases_its_lease_before_it_expires(
    node: Node, installation: Installation, jobs: Jobs, stand_in: StandIn
) -> None:
    leader = installation.await_leader()
    stand_in.plan("handed-over", seconds=5)
    jobs.apply(training_job("handed-over"))
    jobs.wait_status("handed-over", "InProgress")
    installation.kubectl("delete", "pod", leader.name, "--wait=false")
    installation.await_leader(other_than=leader, seconds=12)  # an unreleased Lease lasts 15 s
    installation.kubectl("wait", "--for=delete", f"pod/{leader.name}", "--timeout=30s")
    jobs.wait_status("handed-over", "Completed")
    assert len(stand_in.effects("CreateTrainingJob", job="handed-over")) == 1
    installation.await_rollout()


def test_new_tokens_of_the_kubelet_are_used(
    node: Node, installation: Installation, jobs: Jobs, stand_in: StandIn, audit_log: Path
) -> None:
    leader = installation.await_leader()
    old = installation.tokens(leader)
    assert set(old) == {"https://kubernetes.default.svc", "sts.amazonaws.com"}
    node.restart_kubelet()
    new = await_true(
        "both tokens are new",
        lambda: (now := installation.tokens(leader)) and not set(now.values()) & set(old.values()) and now,
        200,
    )
    stand_in.expire_sessions()
    jobs.apply(training_job("after-rotation"))
    jobs.wait_status("after-rotation", "InProgress", 120)
    await_true("STS received the new token", lambda: new["sts.amazonaws.com"] in stand_in.seen_web_tokens(), 120)
    credential = f"JTI={claims(new['https://kubernetes.default.svc'])['jti']}"
    await_true("the API server received the new token", lambda: credential in audit_log.read_text(), 120)
    assert [pod.restarts for pod in installation.pods()] == [0, 0]


def test_a_rolling_upgrade_under_load_creates_every_job_once(
    node: Node, installation: Installation, jobs: Jobs, stand_in: StandIn
) -> None:
    names = [f"load-{number}" for number in range(60)]
    stand_in.plan("load-*", seconds=5)
    jobs.apply(*map(training_job, names[:20]))
    installation.kubectl("rollout", "restart", "deployment/trainingjob-operator")
    for first in range(20, 60, 10):
        jobs.apply(*map(training_job, names[first : first + 10]))
        time.sleep(1)  # a load as long as the upgrade
    installation.await_rollout()

    def statuses() -> set[str]:
        return {body.get("status", {}).get("trainingJobStatus") for body in jobs.bodies()}

    await_true("all are Completed", lambda: statuses() == {"Completed"}, 120)
    assert [len(stand_in.effects("CreateTrainingJob", job=name)) for name in names] == [1] * len(names)


def test_an_eviction_moves_leadership_and_the_budget_rejects_another(
    node: Node, installation: Installation, jobs: Jobs
) -> None:
    leader = installation.await_leader()
    [standby] = [pod for pod in installation.pods() if pod.uid != leader.uid]
    allowed = ("get", "poddisruptionbudgets", "--output=jsonpath={.items[0].status.disruptionsAllowed}")
    await_true("the budget allows one", lambda: installation.kubectl(*allowed) == "1")
    installation.evict(leader)
    with pytest.raises(KubectlError, match="disruption budget"):
        installation.evict(standby)
    installation.await_leader(other_than=leader)
    jobs.apply(training_job("after-eviction"))
    jobs.wait_status("after-eviction", "InProgress")
    installation.await_rollout()


MEMORY = """
import pathlib
v1, v2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
names = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if v1.exists() else ("memory.max", "memory.peak")
print(*(int((v1 if v1.exists() else v2).joinpath(name).read_text()) for name in names))
"""


def test_the_memory_limit_is_enforced_and_the_peak_is_below_half_of_it(
    node: Node, installation: Installation, jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    leader = installation.await_leader()
    limit, peak = map(int, installation.run(leader, MEMORY).split())
    with capsys.disabled():
        print(f" peak of memory: {peak / 1e6:.0f} MB of {limit / 1e6:.0f} MB", end=" ")
    assert limit == 512 << 20
    assert peak < limit / 2
    with pytest.raises(KubectlError, match="137"):  # SIGKILL
        installation.run(leader, "b'x' * (700 << 20)")
    jobs.apply(training_job("after-memory"))
    jobs.wait_status("after-memory", "InProgress", 120)
    installation.await_rollout()


def test_a_frozen_leader_is_replaced_and_restarted_by_its_liveness_probe(
    node: Node, installation: Installation, jobs: Jobs
) -> None:
    leader = installation.await_leader()
    os.kill(installation.process_id(leader), signal.SIGSTOP)
    installation.await_leader(other_than=leader)
    jobs.apply(training_job("after-freeze"))
    jobs.wait_status("after-freeze", "InProgress")

    def is_restarted() -> bool:
        [pod] = [pod for pod in installation.pods() if pod.uid == leader.uid]
        return pod.restarts > leader.restarts and pod.is_ready

    await_true("the kubelet has restarted it", is_restarted, 180)
