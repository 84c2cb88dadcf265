"""A whole fleet moves from ACK and back by the commands of docs/moving-from-ack.md; tests/helm covers Helm's."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.crds.installation import ACKS, OURS, install_crd, is_established
from tests.e2e import recorded
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import await_true
from tests.e2e.pages import Command, Reader, read_commands
from tests.e2e.recorded import PHASES
from tests.e2e.test_takeover import CREATE, EXPECTED, FOLLOWED, ask_ack, show
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Account, Launch
    from tests.e2e.objects import Body
    from tests.e2e.operator_process import OperatorProcess

pytestmark = [pytest.mark.e2e, pytest.mark.controlplane]

PAGE = "docs/moving-from-ack.md"
SYSTEM = "trainingjob-operator"
NAMESPACES, COPIES = 3, 5
READS = ("Describe", "List", "sts:")
ATTENTION = {"name-clash", "refused", "illegal-edit"}
"""Phases of objects that need attention."""
ONE_SWEEP = "--sweep-seconds=300"
"""The second sweep comes after the test."""
FINDINGS = """
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE, annotations: {services.k8s.aws/team-id: blue}}
---
apiVersion: services.k8s.aws/v1alpha1
kind: FieldExport
metadata: {name: model, namespace: default}
spec: {from: {resource: {group: sagemaker.services.k8s.aws, kind: TrainingJob, name: x}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: ack-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ack-sagemaker-controller-reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}]
"""
"""One object for each check before the move."""
KINDS_OF_ACK = {"FieldExport": "Namespaced"}


@dataclass(frozen=True)
class Fleet:
    """Copies of every recorded object in several namespaces, and their jobs."""

    cluster: Cluster
    sagemaker: StandIn
    places: dict[str, dict[str, str]]
    """By namespace: the phase of each object by name."""
    reader: Reader
    team: str
    """A further namespace."""
    system: str
    """Namespace of the operator."""

    @property
    def phases(self) -> dict[str, str]:
        return {name: phase for copies in self.places.values() for name, phase in copies.items()}

    def bodies(self) -> list[Body]:
        """Its objects, in no order."""
        with ThreadPoolExecutor() as pool:
            return [body for found in pool.map(lambda space: self.jobs(space).bodies(), self.places) for body in found]

    def has_job(self, body: Body) -> bool:
        """True if SageMaker has a job of the name that ACK reads."""
        return self.sagemaker.job(body["spec"].get("trainingJobName", "")) is not None

    def others(self) -> list[Body]:
        """Objects with a wrong status."""
        return [
            body for body in self.bodies() if show(body) != EXPECTED[self.phases[body["metadata"]["name"]]].conditions
        ]

    def jobs(self, namespace: str) -> Jobs:
        return Jobs(self.cluster, namespace)

    def run(self, command: Command) -> list[str]:
        """The lines that a command prints about the fleet, without objects of other tests in the cluster."""
        lines = self.reader.run(command).splitlines()
        return [line for line in lines if line.partition(" ")[0] in self.places or "/" in line]


def build_fleet(cluster: Cluster, sagemaker: StandIn, reader: Reader, team: str, system: str) -> Fleet:
    """Create the fleet under ACK's CRD, already installed."""
    places: dict[str, dict[str, str]] = {}
    for space in range(NAMESPACES):
        copies = range(space * COPIES, (space + 1) * COPIES)
        places[f"fleet-{secrets.token_hex(3)}"] = {f"{phase}-{copy}": phase for phase in PHASES for copy in copies}
    fleet = Fleet(cluster, sagemaker, places, reader, team, system)

    def fill(namespace: str) -> None:
        cluster.kubectl("create", "namespace", namespace)
        for name, phase in places[namespace].items():
            recorded.make_job(phase, sagemaker, namespace, name)
        recorded.put_objects(places[namespace], sagemaker, fleet.jobs(namespace).kubectl)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, places))
    return fleet


def command(section: str, word: str) -> Command:
    """The command that contains the word."""
    [found] = [each for each in read_commands(PAGE, section) if word in each.text]
    return found


def name_of(call: Body) -> str:
    """The name of the job in a call, if any."""
    return str(call["job"] or "").rpartition("/")[2]


@pytest.fixture(scope="module")
def fleet(control_plane: Cluster, account: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet before the move, with the installation of deploy/ in the cluster."""
    team, system = f"team-{secrets.token_hex(3)}", f"{SYSTEM}{account.installation.suffix}"
    renamed = {f"{before} {SYSTEM}": f"{before} {system}" for before in ("-n", "deployment")}
    words = {**renamed, "CRD": str(ACKS), "TEAM": team, "USER": "jane"}
    reader = Reader(control_plane.kubeconfig, tmp_path_factory.mktemp("reader"), words)
    control_plane.kubectl("create", "namespace", team)
    install_crd(control_plane, ACKS)
    with StandIn(recorded.STAND_IN) as sagemaker:
        fleet = build_fleet(control_plane, sagemaker, reader, team, system)
        yield fleet
        assert sagemaker.drift() == []
    install_crd(control_plane, OURS)


def test_each_check_before_the_move_finds_its_object(fleet: Fleet, account: Account) -> None:
    for kind, scope in KINDS_OF_ACK.items():
        install_kind(fleet.cluster, kind, scope)
    findings = FINDINGS.replace("NAMESPACE", f"findings-{secrets.token_hex(3)}")
    checks = [check for check in read_commands(PAGE, "Before") if check.prints_nothing]
    fleet.cluster.kubectl("apply", "-f", "-", input=findings)
    assert len(checks) == len(list(yaml.safe_load_all(findings)))
    assert [check.text for check in checks if not fleet.reader.run(check)] == []
    fleet.cluster.kubectl("delete", "-f", "-", "--timeout=60s", input=findings)
    assert [check.text for check in checks if fleet.reader.run(check)] == []
    crds = (f"{kind.lower()}s.services.k8s.aws" for kind in KINDS_OF_ACK)
    fleet.cluster.kubectl("delete", "crd", *crds)


def install_kind(cluster: Cluster, kind: str, scope: str) -> None:
    """Serve a kind of ACK with any content."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.services.k8s.aws"},
        "spec": {"group": "services.k8s.aws", "names": names, "scope": scope, "versions": [version]},
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(crd))
    await_true(f"{kind} is served", lambda: is_established(cluster, f"{plural}.services.k8s.aws"))


def test_the_cluster_roles_grant_users_rights_on_their_objects(fleet: Fleet, account: Account) -> None:
    bind, check = (each for each in read_commands(PAGE, "Before") if "--user=" in each.text or "--as=" in each.text)
    assert fleet.reader.run(check) == "no\n"
    assert fleet.reader.run(bind).strip() == bind.prints
    await_true("the user may", lambda: fleet.reader.run(check).strip() == check.prints)


def test_one_part_moves_first_and_the_others_stay_unchanged(
    fleet: Fleet, launch: Launch, account: Account, tmp_path: Path
) -> None:
    team = fleet.jobs(fleet.team)
    copies = {"first-running": "running", "first-failed": "failed"}
    for name, phase in copies.items():
        recorded.make_job(phase, fleet.sagemaker, fleet.team, name)
    recorded.put_objects(copies, fleet.sagemaker, team.kubectl)
    label, _, _, check = read_commands(PAGE, "One part first")
    others = {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in fleet.bodies()}
    since = fleet.sagemaker.total()
    selector = "--watch-selectors=trainingjobs-of=operator"
    with launch(
        fleet.cluster,
        fleet.sagemaker,
        tmp_path,
        selector,
        kubeconfig=account.kubeconfig,
        environment=recorded.ENVIRONMENT,
    ):
        printed = [f"trainingjob.sagemaker.services.k8s.aws/{name} labeled" for name in sorted(copies)]
        assert fleet.reader.run(label).splitlines() == printed
        await_true("the part is taken over", lambda: fleet.reader.run(check) == "")
    for name, phase in copies.items():
        assert show(team.get(name) or {}) == EXPECTED[phase].conditions
    assert {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in fleet.bodies()} == others
    assert {name_of(call) for call in fleet.sagemaker.calls(since=since)} == {"", "first-running"}
    team.release()
    team.kubectl("delete", "trainingjobs", "--all")


@dataclass(frozen=True)
class Move:
    """Events from the start of the move until every status was true."""

    uids: dict[str, str]
    """Before the move, by name."""
    bodies: dict[str, Body]
    calls: list[tuple[str, str]]
    """Operation and job name."""
    operator: OperatorProcess


@pytest.fixture(scope="module")
def moved(fleet: Fleet, launch: Launch, account: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    """The fleet after the move; the operator still runs."""
    record, *_ = command("The steps", "> before.txt").text.splitlines()
    fleet.reader.run(record)
    uids = {body["metadata"]["name"]: body["metadata"]["uid"] for body in fleet.bodies()}
    since = fleet.sagemaker.total()
    install_crd(fleet.cluster, OURS)  # like the chart; tests/helm installs it
    watched = f"--watch-namespace={','.join(fleet.places)}"
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig, environment = account.kubeconfig, recorded.ENVIRONMENT
    with launch(
        fleet.cluster, fleet.sagemaker, folder, watched, ONE_SWEEP, kubeconfig=kubeconfig, environment=environment
    ) as operator:
        await_true("every status is true", lambda: not fleet.others(), 120, pause=0.5)
        calls = [(call["operation"], name_of(call)) for call in fleet.sagemaker.calls(since=since)]
        bodies = {body["metadata"]["name"]: body for body in fleet.bodies()}
        yield Move(uids, bodies, calls, operator)


def test_every_status_is_true_within_one_sweep_and_no_job_is_changed(fleet: Fleet, moved: Move) -> None:
    assert len(moved.bodies) == len(PHASES) * NAMESPACES * COPIES
    assert [call for call in moved.calls if not call[0].startswith(READS)] == []
    assert {name: body["metadata"]["uid"] for name, body in moved.bodies.items()} == moved.uids
    for name, phase in fleet.phases.items():
        if phase not in FOLLOWED:
            made = [operation for operation, job in moved.calls if job == name]
            assert made == list(EXPECTED[phase].calls)[: len(made)]


def test_the_checks_after_the_move_print_the_output_on_the_page(fleet: Fleet, moved: Move) -> None:
    reconciled, exchanged, passive, attention = (each for each in read_commands(PAGE, "The steps")[-4:])
    assert fleet.run(reconciled) == []
    lost = [line.split() for line in fleet.reader.run(exchanged).splitlines() if line.startswith("<")]
    assert {fleet.phases[name] for _, _, name, *_ in lost if name in fleet.phases} == {"name-clash"}
    assert fleet.reader.run(passive) == ""
    assert {fleet.phases[line.split()[1]] for line in fleet.run(attention)} == ATTENTION


def test_after_the_way_back_ack_creates_only_the_jobs_named_by_the_page(fleet: Fleet, moved: Move) -> None:
    space = next(iter(fleet.places))
    jobs = fleet.jobs(space)
    fleet.sagemaker.fail(CREATE, "ResourceLimitExceeded", "The quota is 0 Instances", job="waits")
    adopts = {"services.k8s.aws/adoption-policy": "adopt"}
    suffixed = training_job("suffixed", annotations={"sagemaker.services.k8s.aws/job-name-suffix": "spec"})
    for name in ("suffixed*", "nameless"):
        fleet.sagemaker.plan(name, outcome="Running", seconds=0.5)
    jobs.apply(training_job("waits"), training_job("adopts-nothing", annotations=adopts))
    jobs.apply(suffixed, training_job("nameless", trainingJobName=None))
    jobs.wait_status("suffixed", "InProgress")
    jobs.wait_status("nameless", "InProgress")
    jobs.wait_condition("waits", "ACK.Recoverable")
    jobs.wait_condition("adopts-nothing", "Stalled")
    stop, names, crd, finished, without, _ = read_commands(PAGE, "The way back")

    fleet.reader.run(stop)
    deployment = fleet.cluster.kubectl(
        "get", "deployments", "-n", fleet.system, "-o", "jsonpath={.items[*].spec.replicas}"
    )
    assert deployment == "0"
    moved.operator.stop()

    assert [line.partition("/")[2] for line in fleet.run(names)] == ["nameless patched", "suffixed patched"]
    assert fleet.reader.run(crd).strip() == crd.prints

    bodies = {body["metadata"]["name"]: body for body in fleet.bodies()}
    ended = {name for name, body in bodies.items() if show(body).get("Finished", "").startswith("True")}
    printed = {line.partition("/")[2] for line in fleet.run(finished)}
    assert printed == {f"{name} annotated" for name in ended}

    bodies = {body["metadata"]["name"]: body for body in fleet.bodies()}
    for name in ended:  # with or without the record of its job
        assert ask_ack(bodies[name], job_exists=False) == set()
    creates = {name for name, body in bodies.items() if ask_ack(body, fleet.has_job(body))}
    found = {name: reason for _, name, reason in (line.split() for line in fleet.run(without))}
    clashes = {name for name, phase in fleet.phases.items() if phase == "name-clash"}
    assert set(found) == creates | clashes
    assert set(found.values()) == {"QuotaTooSmall", "InvalidSpec", "NameClash", "JobNotFound"}
    assert [call for call in fleet.sagemaker.effects() if call["operation"] == "StopTrainingJob"] == []
