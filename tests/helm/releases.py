"""Releases of the chart in a cluster, and an operator started with the settings of a release."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KubectlError
from tests.crds.installation import NAME
from tests.e2e.operator_process import OperatorProcess
from tests.helm.program import CHART

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.helm.program import Helm
    from tests.sagemaker.stand_in import StandIn

Values = dict[str, Any]

RELEASE = "trainingjob-operator"
OURS_ALONE = f"app.kubernetes.io/name={RELEASE}"
"""Selector of all objects of a release."""


class Releases:
    """The chart in a cluster, as the admin or with another kubeconfig."""

    def __init__(self, helm: Helm, cluster: Cluster, folder: Path) -> None:
        self.helm = helm
        self.cluster = cluster
        self.kubectl = cluster.kubectl
        self.folder = folder
        self.namespace = f"operator-{secrets.token_hex(3)}"

    def apply(self, *flags: str, values: Values | None = None, chart: Path = CHART, namespace: str = "") -> str:
        """`helm upgrade --install`; the region is given. Raises HelmError."""
        given = {"aws": {"region": "us-east-1"}, **(values or {})}
        where = ("--namespace", namespace or self.namespace, "--create-namespace")
        return self.helm.with_values("upgrade --install", given, RELEASE, str(chart), *where, *flags)

    def run(self, verb: str, *arguments: str, namespace: str = "") -> str:
        return self.helm.run(verb, RELEASE, *arguments, "--namespace", namespace or self.namespace)

    def deployment(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.kubectl("get", "deployment", RELEASE, "--namespace", self.namespace, "--output", "json")
        )
        return found

    def crd(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "crd", NAME, "--output", "json"))
        return found

    def operator(self, sagemaker: StandIn, *flags: str, **more: Any) -> OperatorProcess:
        """An operator with the arguments of the Deployment."""
        container = self.deployment()["spec"]["template"]["spec"]["containers"][0]
        account = self.cluster.kubeconfig_of_service_account(self.namespace, RELEASE, self.folder)
        variables = {each["name"]: each.get("value", self.namespace) for each in container["env"]}
        environment = {**variables, **more.pop("environment", {})}
        arguments = [*container["args"][1:], "--log-level=debug", *flags]
        return OperatorProcess(
            self.cluster, sagemaker, self.folder, *arguments, kubeconfig=account, environment=environment, **more
        )


def is_served(releases: Releases) -> bool:
    try:
        releases.kubectl("get", "trainingjobs", "-A")
    except KubectlError:
        return False
    return True
