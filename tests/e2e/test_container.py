"""The operator in a container's conditions: an unknown user, no home, a read-only file system, only the Pod's
environment.

The Python environment of the image runs it, without the parts removed by image/prune.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import botocore
import pytest

from tests.controlplane.plane import ControlPlane
from tests.deploy.test_manifests import Installation, the
from tests.e2e.objects import training_job
from tests.e2e.operator_process import OperatorProcess, await_true

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.controlplane.plane import Cluster
    from tests.e2e.objects import Jobs
    from tests.e2e.operator_process import Running
    from tests.sagemaker.stand_in import StandIn

UID = "65532"
CA_BUNDLE = str(Path(botocore.__file__).with_name("cacert.pem"))
MOUNTS = "/run/secrets"

# Reading stays allowed: the tests' own Python may be readable by root only. `--pdeathsig` is set again because the
# change of user clears the earlier one.
CONTAINER = """
set -eu
secrets=$1 uid=$2
shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs /run
cp -r "$secrets" /run/secrets
for folder in / /run /tmp /var/tmp /dev/shm; do
    if mountpoint --quiet "$folder"; then mount -o remount,bind,ro "$folder"; fi
done
cd /
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --no-new-privs --pdeathsig=KILL \\
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search \\
    env -i "$@"
"""


class ContainedOperator(OperatorProcess):
    """An operator with its own file system, user, environment and Python.

    `secrets` is mounted at MOUNTS.
    """

    def __init__(self, *arguments: Any, python: Path, secrets: Path, environment: Mapping[str, str]) -> None:
        super().__init__(*arguments)
        self._python = python
        self._secrets = secrets
        self._environment = dict(environment)

    def _spawn(self, command: list[str], environment: dict[str, str], log: Path) -> Running:
        program = str(shutil.which("unshare"))
        assignments = [f"{name}={value}" for name, value in environment.items()]
        contained = [program, "--mount", "sh", "-c", CONTAINER, "sh", str(self._secrets), UID, *assignments]
        return super()._spawn([*contained, str(self._python), *command[1:]], dict(os.environ), log)


class Contain(Protocol):
    """A contained operator, not yet started; accepts further environment variables."""

    def __call__(self, environment: Mapping[str, str]) -> ContainedOperator: ...


@pytest.fixture
def may_contain() -> None:
    """Skip if this user cannot create a mount namespace."""
    if os.geteuid() != 0:
        pytest.skip("only root may change to another user")
    if shutil.which("setpriv") is None or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("needs setpriv and the right to unshare mounts")


@pytest.fixture
def installation(control_plane: Cluster) -> Iterator[Installation]:
    """The objects of deploy/, applied."""
    installation = Installation("deploy")
    control_plane.kubectl("apply", "-f", "-", input=installation.yaml)
    yield installation
    control_plane.kubectl("delete", "--wait=false", "-f", "-", input=installation.yaml)


@pytest.fixture
def contain(
    may_contain: None,
    image_python: Path,
    control_plane: Cluster,
    installation: Installation,
    sagemaker: StandIn,
    tmp_path: Path,
) -> Contain:
    """Makes operators with the container's arguments, environment and ServiceAccount from deploy/."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("needs the CA file of the own control plane")
    account = the("ServiceAccount", installation.objects)["metadata"]
    container = the("Deployment", installation.objects)["spec"]["template"]["spec"]["containers"][0]
    mounted = tmp_path / "secrets/kubernetes.io/serviceaccount"
    mounted.mkdir(parents=True)
    (mounted / "token").write_text(
        control_plane.kubectl("--namespace", account["namespace"], "create", "token", account["name"]).strip()
    )
    (mounted / "namespace").write_text(account["namespace"])
    shutil.copy(control_plane.ca_file, mounted / "ca.crt")
    address = urlsplit(control_plane.url)
    given = {
        **{variable["name"]: variable.get("value", account["namespace"]) for variable in container["env"]},
        # additions of the kubelet and EKS's webhook
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
        "AWS_ROLE_ARN": account["annotations"]["eks.amazonaws.com/role-arn"],
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{MOUNTS}/kubernetes.io/serviceaccount/token",
        # replacements of AWS
        "AWS_ENDPOINT_URL": sagemaker.url,
    }

    def make(environment: Mapping[str, str]) -> ContainedOperator:
        return ContainedOperator(
            control_plane,
            sagemaker,
            tmp_path,
            *container["args"][1:],
            python=image_python,
            secrets=tmp_path / "secrets",
            environment={**given, **environment},
        )

    return make


@pytest.mark.e2e
@pytest.mark.parametrize("bundle", [{}, {"AWS_CA_BUNDLE": CA_BUNDLE}], ids=["plain", "AWS_CA_BUNDLE"])
def test_an_operator_as_unknown_user_without_home_serves_the_whole_life_of_a_job(
    contain: Contain, jobs: Jobs, sagemaker: StandIn, bundle: Mapping[str, str]
) -> None:
    operator = contain(bundle)
    with operator:
        sagemaker.plan("short", seconds=1)
        jobs.apply(training_job("short"), training_job("long"))
        jobs.wait_status("short", "Completed")
        jobs.wait_status("long", "InProgress")
        jobs.delete("long")
        jobs.wait_gone("long")
        jobs.delete("short")
        jobs.wait_gone("short")
        assert sagemaker.counts()["StopTrainingJob"] == 1
        await_true("it is alive", lambda: operator.ask("healthz")[0] == 200)
        code, seconds = operator.terminate()
    assert code == 0
    assert seconds < 10  # the grace period in deploy/
    assert [line["msg"] for line in operator.lines() if line["level"] in ("error", "fatal")] == []
    assert "Traceback" not in operator.log.read_text()


@pytest.mark.e2e
def test_the_operator_waits_for_api_server_and_aws_without_a_restart(
    contain: Contain, own_control_plane: ControlPlane, jobs: Jobs, sagemaker: StandIn
) -> None:
    sagemaker.identity(unavailable=1_000_000)
    operator = contain({})
    own_control_plane.kill_apiserver()
    try:
        operator.start(wait=False)
        await_true("readiness names the API server", lambda: "Cannot reach the API server" in operator.ask("readyz")[1])
        assert (operator.ask("healthz")[0], operator.ask("readyz")[0]) == (200, 503)
    finally:
        own_control_plane.restart_apiserver()
    try:
        await_true("readiness names AWS", lambda: f"STS at {sagemaker.url}" in operator.ask("readyz")[1])
        assert (operator.ask("healthz")[0], operator.ask("readyz")[0]) == (200, 503)
        sagemaker.identity(unavailable=0)
        await_true("it is ready", lambda: operator.ask("readyz")[0] == 200)
        jobs.apply(training_job("late"))
        jobs.wait_status("late", "InProgress")
        complaints = [line["msg"] for line in operator.lines() if line["level"] in ("warn", "error", "fatal")]
        assert len(complaints) == len(set(complaints)), "each cause is named once"
        assert list(dict.fromkeys(text.split(" (")[0] for text in complaints)) == [
            f"Cannot reach the API server {own_control_plane.url}",
            f"STS at {sagemaker.url}",
        ]
        assert operator.terminate()[0] == 0
    finally:
        operator.stop()
