"""`kubectl trainingjob` beside the operator: real objects, real calls of kubectl, logs from moto's CloudWatch Logs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubectl_trainingjob.cli import plugin as plugin_commands
from tests.controlplane.plane import KUBECTL
from tests.demo.logs import GROUP, Log
from tests.e2e.objects import training_job
from tests.kubectl_plugin.mistakes import MISTAKES, Mistake, check_section, try_mistake
from tests.kubectl_plugin.scene import prepare
from tests.kubectl_plugin.terminal import Result, run_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Shared

SHORT = "Starting:0.2,Downloading:0.2,Training:0.6,Uploading:0.2,Completed"
ROOT = Path(__file__).parents[2]
SECRET = "hunter2"

pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.fixture(scope="module")
def environment(shared: Shared, control_plane: Cluster) -> dict[str, str]:
    """The user's environment: a kubeconfig, and AWS credentials of the jobs' account."""
    return {
        **shared.sagemaker.environment(),
        "KUBECONFIG": str(control_plane.kubeconfig),
        "KUBECACHEDIR": str(control_plane.kubeconfig.parent / "kubectl-cache"),
        "KUBECTL": KUBECTL,
    }


@pytest.fixture
def surroundings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def plugin(shared: Shared) -> Callable[..., Result]:
    """The plugin in the namespace of the module."""

    def run(*arguments: str) -> Result:
        return run_plugin("-n", shared.namespace, *arguments)

    return run


Plugin = Any


def finish(shared: Shared, name: str, phases: str = SHORT, **spec: Any) -> None:
    """Apply a job with these phases, and wait for its end."""
    shared.sagemaker.plan(name, phases=phases)
    shared.jobs.apply(training_job(name, **spec))
    shared.jobs.wait_condition(name, "Settled")


@pytest.fixture(scope="module")
def done(shared: Shared) -> str:
    """A completed job with a log, metrics, and a secret in its hyperparameters and environment."""
    definitions = [{"name": "validation:loss", "regex": "loss=([0-9.]+)"}, {"name": "broken", "regex": "("}]
    algorithm = {"trainingImage": "image", "trainingInputMode": "File", "metricDefinitions": definitions}
    resources = {"instanceType": "ml.m5.large", "instanceCount": 2, "volumeSizeInGB": 5}
    finish(
        shared,
        "done",
        algorithmSpecification=algorithm,
        resourceConfig=resources,
        hyperParameters={"password": SECRET},
        environment={"TOKEN": SECRET},
    )
    log = Log(shared.sagemaker, "done")
    start = time.time() - 3600
    log.write("algo-1", *(f"epoch {number} loss={1 / (number + 1):.3f}" for number in range(20)), at=start)
    log.write("algo-2", "ready", "\x1b]0;title\x07done", at=start + 0.5)
    log.write("algo-2", "saved\tmodel", at=start + 3000)
    return "done"


def test_list_filters_and_names_objects_as_kubectl_does(shared: Shared, plugin: Plugin, done: str) -> None:
    finish(shared, "unlucky", "Starting:0.1,Failed")
    table = plugin("list").out.splitlines()
    assert table[0].split() == ["NAME", "STATUS", "STEP", "INSTANCE", "AGE", "BILLABLE"]
    assert [line.split()[:2] for line in table[1:] if line.split()[0] in ("done", "unlucky")] == [
        ["done", "Completed"],
        ["unlucky", "Failed"],
    ]
    failed = plugin("list", "--outcome", "failed", "--since", "1h", "-o", "name").out.splitlines()
    by_kubectl = shared.jobs.kubectl("get", "trainingjob", "unlucky", "-o", "name").strip()
    assert failed == [by_kubectl]
    everywhere = run_plugin("list", "-A").out.splitlines()
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert any(line.split()[:2] == [shared.namespace, "done"] for line in everywhere)
    shared.jobs.kubectl("label", "trainingjob", "done", "team=vision")
    assert plugin("list", "-l", "team=vision", "-o", "wide").out.split()[8] == "done"
    usage = json.loads(plugin("usage", "-l", "team=vision", "-o", "json").out)["namespaces"]
    billable = shared.jobs.status("done")["billableInstanceSeconds"]
    assert billable == 2 * shared.jobs.status("done")["billableTimeInSeconds"]
    assert usage == [{"namespace": shared.namespace, "outcomes": {"succeeded": 1}, "billableInstanceSeconds": billable}]
    assert plugin("usage").out.split()[:2] == ["NAMESPACE", "JOBS"]
    nothing = plugin("list", "--outcome", "waiting", "-l", "team=vision")
    assert (nothing.code, nothing.out) == (0, "")
    assert f"No TrainingJobs found in namespace {shared.namespace}" in nothing.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("describe", "done"),
        ("describe", "done", "-o", "yaml"),
        ("list", "-o", "json"),
        ("why", "done"),
        ("timeline", "done"),
    ],
    ids=" ".join,
)
def test_no_command_shows_values_of_environment_and_hyperparameters(
    plugin: Plugin, done: str, arguments: Sequence[str]
) -> None:
    shown = plugin(*arguments)
    assert shown.code == 0
    assert SECRET not in shown.out + shown.err


def test_describe_begins_with_the_outcome_and_shows_spec_status_and_events(plugin: Plugin, done: str) -> None:
    page = plugin("describe", "done").out
    lines = page.splitlines()
    assert lines[0].startswith("done  Completed  trained ")
    sections = [line for line in lines if line and not line.startswith(" ")][1:]
    assert sections == ["Timeline", "Job", "Times", "Input", "Artifacts", "Metrics", "Conditions", "Events"]
    for text in ("2 x ml.m5.large", "s3://bucket/out/done/output/model.tar.gz", "validation:loss", "JobCompleted"):
        assert text in page
    assert "1 hidden; --show-values shows them" in page
    values = plugin("describe", "done", "--show-values")
    assert values.out.count(SECRET) == 2
    body = yaml.safe_load(plugin("describe", "done", "-o", "yaml").out)
    assert body["spec"]["hyperParameters"] == {"password": "…"}
    assert body["status"]["trainingJobStatus"] == "Completed"


def test_describe_needs_no_right_on_events(
    shared: Shared, plugin: Plugin, done: str, control_plane: Cluster, tmp_path: Path
) -> None:
    reader = "reader"
    shared.jobs.kubectl("create", "serviceaccount", reader)
    rights = ("--verb=get", "--resource=trainingjobs.sagemaker.services.k8s.aws")
    shared.jobs.kubectl("create", "role", reader, *rights)
    who = f"--serviceaccount={shared.namespace}:{reader}"
    shared.jobs.kubectl("create", "rolebinding", reader, f"--role={reader}", who)
    kubeconfig = control_plane.kubeconfig_of_service_account(shared.namespace, reader, tmp_path)
    page = plugin("describe", "done", "--kubeconfig", str(kubeconfig))
    assert (page.code, page.out.splitlines()[0].split()[:2]) == (0, ["done", "Completed"])
    assert "No Events: The API server refuses this" in page.err
    refused = plugin("list", "--kubeconfig", str(kubeconfig))
    assert refused.code == 4
    assert "Ask the cluster's administrator for the right." in refused.err


def test_timeline_shows_a_bar_for_each_status_of_several_jobs(shared: Shared, plugin: Plugin, done: str) -> None:
    finish(shared, "slower", "Starting:0.1,Training:1.4,Completed")
    shown = plugin("timeline", "done", "slower").out
    rows = {line.split()[0]: line.count("█") for line in shown.splitlines() if "█" in line}
    assert list(rows) == ["Starting", "Downloading", "Training", "Uploading"]
    data = json.loads(plugin("timeline", "done", "-o", "json").out)
    steps = [step["status"] for step in data["jobs"]["done"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading"]
    svg = plugin("timeline", "done", "slower", "-o", "svg").out
    assert svg.count("<rect") == 1 + 4 + 2
    assert "slower · Completed" in svg


def test_why_explains_a_rejection_a_failure_and_a_wait(shared: Shared, plugin: Plugin) -> None:
    shared.sagemaker.plan("oom", phases="Starting:0.1,Failed", failure_reason="AlgorithmError: exit code: 137")
    shared.jobs.apply(training_job("oom"), training_job("slow"))
    shared.jobs.wait_condition("oom", "Settled")
    shared.sagemaker.enter("slow", "Training")
    shared.jobs.wait("slow", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    answer = plugin("why", "oom").out
    assert answer.startswith("oom  Failed\n")
    assert "“AlgorithmError: exit code: 137”" in answer
    assert "out of memory" in answer
    assert "kubectl trainingjob logs oom --tail 50" in answer
    assert "slow  Runs: Training" in plugin("why", "slow").out
    bad = training_job("clash", trainingJobName="oom")
    shared.jobs.apply(bad)
    shared.jobs.wait_condition("clash", "Stalled")
    clash = plugin("why", "clash").out
    assert "The operator stopped trying: NameClash" in clash
    assert "→ Use another spec.trainingJobName" in clash


def test_logs_merge_all_instances_in_order_of_time(plugin: Plugin, done: str) -> None:
    lines = plugin("logs", "done").out.splitlines()
    assert len(lines) == 23
    assert lines[:3] == ["algo-1 | epoch 0 loss=1.000", "algo-2 | ready", "algo-1 | epoch 1 loss=0.500"]
    assert plugin("logs", "done", "--tail", "2").out.splitlines() == lines[-2:]
    assert plugin("logs", "done", "--instance", "2").out.splitlines()[0] == "algo-2 | ready"
    assert plugin("logs", "done", "--since", "30m").out.splitlines() == ["algo-2 | saved\tmodel"]
    stamped = plugin("logs", "done", "--tail", "1", "--timestamps").out
    assert stamped[:2] == "20"
    assert stamped[23] == "Z"


def test_logs_follow_a_job_from_before_its_first_line_to_its_end(shared: Shared, plugin: Plugin) -> None:
    shared.sagemaker.plan("followed", phases="Starting:0.3,Training:60,Completed")
    shared.jobs.apply(training_job("followed"))
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(plugin("logs", "-f", "followed")))
    thread.start()
    shared.jobs.wait("followed", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    log = Log(shared.sagemaker, "followed")
    log.write("algo-1", "first", at=time.time())
    shared.sagemaker.complete_job("followed")
    shared.jobs.wait_condition("followed", "Complete")
    log.write("algo-1", "last, written late", at=time.time() - 5)
    thread.join(30)
    assert sorted(results[0].out.splitlines()) == ["first", "last, written late"]
    assert "followed: " in results[0].err


def test_logs_of_a_job_without_lines_name_the_log_group_and_the_status(shared: Shared, plugin: Plugin) -> None:
    finish(shared, "silent")
    silent = plugin("logs", "silent")
    assert (silent.code, silent.out) == (0, "")
    assert f"No log lines of silent in {GROUP} of account 123456789012, region us-east-1: Completed" in silent.err


def test_logs_with_credentials_of_another_account_name_both_accounts(
    shared: Shared, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(shared, "elsewhere")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA999999999999")
    refused = plugin("logs", "elsewhere")
    assert refused.code == 4
    assert "The job is in account 123456789012, your AWS credentials are of account 999999999999." in refused.err


def test_metrics_draw_the_values_in_the_log(plugin: Plugin, done: str) -> None:
    shown = plugin("metrics", "done").out
    assert "validation:loss" in shown
    assert "20 values, last 0.05, lowest 0.05, highest 1" in shown
    assert "broken  its regular expression is invalid" in shown
    data = json.loads(plugin("metrics", "done", "-o", "json").out)
    assert [value for _, value in data["series"][0]["points"]][:2] == [1.0, 0.5]
    assert {each["name"] for each in data["final"]} == {"validation:loss", "broken"}


@pytest.mark.parametrize(
    ("name", "phases", "code"),
    [
        ("wait-completed", SHORT, 0),
        ("wait-failed", "Starting:0.1,Failed", 1),
        ("wait-stopped", "Starting:0.1,Stopping:0.1,Stopped", 2),
        ("wait-longer", "Starting:0.1,Training:600,Completed", 3),
    ],
)
def test_the_exit_code_of_wait_is_the_outcome(
    shared: Shared, plugin: Plugin, name: str, phases: str, code: int
) -> None:
    shared.sagemaker.plan(name, phases=phases)
    shared.jobs.apply(training_job(name))
    seconds = "1s" if code == 3 else "60s"
    assert plugin("wait", name, "--timeout", seconds).code == code


def test_run_applies_follows_and_exits_with_the_outcome(shared: Shared, plugin: Plugin, tmp_path: Path) -> None:
    shared.sagemaker.plan("run-me", phases="Starting:0.2,Training:1,Failed", failure_reason="ClientError: no data")
    log = Log(shared.sagemaker, "run-me")
    log.write("algo-1", "hello from the container", at=time.time())
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(training_job("run-me")))
    result = plugin("run", "-f", str(file), "--timeout", "60s")
    assert result.code == 1
    assert result.out.splitlines()[0] == "hello from the container"
    assert "run-me applied in namespace" in result.err
    assert "run-me  Failed" in result.out
    assert "“ClientError: no data”" in result.out
    generated = training_job("run-me", trainingJobName=None)
    generated["metadata"] = {"generateName": "again-"}
    (tmp_path / "generated.yaml").write_text(yaml.safe_dump(generated))
    shared.sagemaker.plan("again-*", phases="Starting:0.1,Completed")
    assert plugin("run", "-f", str(tmp_path / "generated.yaml"), "--no-logs").code == 0
    again = plugin("run", "-f", str(file), "--no-logs")
    assert again.code == 1
    assert "retry run-me" in again.err


def test_stop_keeps_the_object_or_deletes_it(shared: Shared, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stop-by-aws", "stop-by-deletion"):
        shared.sagemaker.plan(name, phases="Starting:0.1,Training:600,Completed", stop_seconds=0.2)
    shared.jobs.apply(training_job("stop-by-aws"), training_job("stop-by-deletion"))
    for name in ("stop-by-aws", "stop-by-deletion"):
        shared.jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    assert plugin("stop", "stop-by-aws").code == 0
    assert plugin("wait", "stop-by-aws", "--timeout", "30s").code == 2
    assert "has ended already" in plugin("stop", "stop-by-aws").err
    shared.jobs.kubectl("annotate", "trainingjob", "stop-by-deletion", "services.k8s.aws/deletion-policy=retain")
    assert "Deletion would not stop the job" in plugin("stop", "stop-by-deletion", "--delete").err
    shared.jobs.kubectl("annotate", "trainingjob", "stop-by-deletion", "services.k8s.aws/deletion-policy-")
    assert plugin("stop", "stop-by-deletion", "--delete").code == 0
    shared.jobs.wait_gone("stop-by-deletion")
    assert (shared.sagemaker.job("stop-by-deletion") or {})["description"]["TrainingJobStatus"] == "Stopped"


def test_adopt_manages_an_existing_job_by_its_name(shared: Shared, plugin: Plugin) -> None:
    arn = shared.sagemaker.create_job("made-elsewhere")
    shared.sagemaker.enter("made-elsewhere", "Training")
    assert plugin("adopt", "ours", "--job", "made-elsewhere").code == 0
    shared.jobs.wait_condition("ours", "ACK.Adopted")
    assert shared.jobs.status("ours")["ackResourceMetadata"]["arn"] == arn
    shared.sagemaker.create_job("clashing")
    shared.sagemaker.enter("clashing", "Training")
    shared.jobs.apply(training_job("clashing"))
    shared.jobs.wait_condition("clashing", "Stalled")
    assert plugin("adopt", "clashing").code == 0
    shared.jobs.wait_condition("clashing", "ACK.Adopted")


def test_retry_runs_the_same_spec_under_the_next_free_name(shared: Shared, plugin: Plugin, done: str) -> None:
    shared.sagemaker.plan("done-r*", phases=SHORT)
    created = plugin("retry", "done", "-o", "name")
    assert created.out == "trainingjob.sagemaker.services.k8s.aws/done-r2\n"
    shared.jobs.wait_condition("done-r2", "Complete")
    first, second = (shared.jobs.get(name) for name in ("done", "done-r2"))
    assert first is not None
    assert second is not None
    assert second["spec"] == {**first["spec"], "trainingJobName": "done-r2"}
    assert plugin("retry", "done", "done-r2").err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("describe", "missing"), 'There is no TrainingJob "missing" in namespace'),
        (("list", "--context", "nowhere"), 'context "nowhere" does not exist'),
        (("list", "--since", "yesterday"), "is not a duration: write it as 90s, 30m, 1h30m or 2d"),
        (("lst",), "No such command 'lst'"),
        (("run", "-f", "missing.yaml"), "missing.yaml"),
    ],
)
def test_an_error_is_one_line_with_a_remedy(plugin: Plugin, arguments: Sequence[str], sentence: str) -> None:
    result = plugin(*arguments)
    assert (result.code, result.out) == (4, "")
    assert sentence in result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


def test_kubectl_finds_the_plugin_and_its_completion(shared: Shared, environment: dict[str, str], done: str) -> None:
    scripts = sysconfig.get_path("scripts")
    full = {**os.environ, **environment, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}

    def kubectl(*arguments: str) -> str:
        command = [KUBECTL, *arguments]
        return subprocess.run(command, env=full, capture_output=True, text=True, check=True, timeout=60).stdout

    names = kubectl("trainingjob", "list", "-n", shared.namespace, "-o", "name").split()
    assert "trainingjob.sagemaker.services.k8s.aws/done" in names
    answers = kubectl("__complete", "trainingjob", "describe", "-n", shared.namespace, "do").splitlines()
    assert "done" in answers
    assert "list" in [line.partition("\t")[0] for line in kubectl("__complete", "trainingjob", "l").splitlines()]


def test_commands_that_cannot_have_their_effect_are_rejected(shared: Shared, plugin: Plugin, done: str) -> None:
    shared.sagemaker.create_job("foreign")
    shared.sagemaker.enter("foreign", "Training")
    assert plugin("adopt", "only-read", "--job", "foreign", "--read-only", "-o", "name").code == 0
    shared.jobs.apply(training_job("no-job", annotations={"services.k8s.aws/region": "nowhere"}))
    shared.jobs.wait("only-read", "is read", lambda body: "ackResourceMetadata" in body["status"])
    shared.jobs.wait_condition("no-job", "Stalled")
    for arguments, sentence in (
        (("stop", "only-read"), "only-read does not own arn:"),
        (
            ("stop", "only-read", "--delete"),
            "Deletion would not stop the job of only-read (services.k8s.aws/read-only)",
        ),
        (("stop", "no-job"), "no-job has no training job."),
        (("stop", "done", "--delete"), "done has ended already. To delete the object: kubectl delete trainingjob done"),
        (("retry", "only-read"), "only-read has no spec of its own"),
        (("retry", "done", "not_a_name"), "not_a_name is no name of a training job"),
        (("adopt", "done", "--job", "other"), "done is the object of job done."),
        (("adopt", "x", "--job", "not_a_name"), "not_a_name is not the name of a training job."),
    ):
        result = plugin(*arguments)
        assert (result.code, result.out) == (4, ""), arguments
        assert sentence in result.err
    assert json.loads(plugin("why", "no-job", "-o", "json").out)["outcome"] == "refused"
    assert plugin("stop", "no-job", "--delete").code == 0
    shared.jobs.wait_gone("no-job")
    assert (shared.sagemaker.job("foreign") or {})["description"]["TrainingJobStatus"] == "InProgress"


def test_every_command_of_the_page_runs(
    shared: Shared, plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run them in the order of the page; a comment after a command has its exit code."""
    prepare(shared.jobs.kubectl, shared.sagemaker, pace=0.04)
    page = (ROOT / "docs/plugin.md").read_text()
    commands = re.findall(r"^ {4}kubectl trainingjob (.*?)(?:  # exit code (\d))?$", page, re.MULTILINE)
    assert len(commands) > 15
    monkeypatch.chdir(ROOT)
    for command, code in commands:
        arguments = shlex.split(command.partition(" > ")[0])
        assert plugin(*arguments).code == int(code or 0), command
    shown = {arguments[0] for arguments in (command.split() for command, _ in commands)}
    assert shown == set(plugin_commands.commands)
    for name in ("churn-2025", "churn-2024"):
        shared.jobs.wait(name, "shows its job", lambda body: "ackResourceMetadata" in body["status"])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_first_mistake_prints_the_session_of_the_documentation(
    shared: Shared, mistake: Mistake, request: pytest.FixtureRequest
) -> None:
    try:
        output = try_mistake(mistake, shared.jobs.kubectl, shared.sagemaker, shared.namespace)
    finally:
        shared.sagemaker.clear_faults()
    check_section(mistake.title, output, update=request.config.getoption("update_golden"))
