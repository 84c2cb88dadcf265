"""Plan for an edit: send it now, later or never, by field and phase of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.updates import (
    KEEP_ALIVE,
    PROFILER,
    REMOTE_DEBUG,
    RULES,
    TagChange,
    UpdatePlan,
    applied_fields,
    plan_tags,
    plan_update,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

STARTED, COMPLETED = "the start of the job", "the status Completed"
SENT, NEVER = "sent", "never"

RULE = {"RuleConfigurationName": "cpu", "RuleEvaluatorImage": "image"}
SECOND = {"RuleConfigurationName": "gpu", "RuleEvaluatorImage": "image"}
REQUEST: dict[str, Any] = {
    "ResourceConfig": {"InstanceType": "ml.m5.large", "KeepAlivePeriodInSeconds": 600},
    "ProfilerConfig": {"S3OutputPath": "s3://bucket/new"},
    "ProfilerRuleConfigurations": [RULE, SECOND],
    "RemoteDebugConfig": {"EnableRemoteDebug": True},
}
RUNS: dict[str, Any] = {
    "ResourceConfig": {"InstanceType": "ml.m5.large", "KeepAlivePeriodInSeconds": 60},
    "ProfilerConfig": {"S3OutputPath": "s3://bucket/old"},
    "ProfilerRuleConfigurations": [RULE],
    "ProfilingStatus": "Enabled",
}
PATHS = {
    KEEP_ALIVE: KEEP_ALIVE,
    PROFILER: "profilerConfig.s3OutputPath",
    RULES: "profilerRuleConfigurations[1]",
    REMOTE_DEBUG: "remoteDebugConfig.enableRemoteDebug",
}
TO_SEND: dict[str, dict[str, Any]] = {
    KEEP_ALIVE: {"ResourceConfig": {"KeepAlivePeriodInSeconds": 600}},
    PROFILER: {"ProfilerConfig": {"S3OutputPath": "s3://bucket/new"}},
    RULES: {"ProfilerRuleConfigurations": [SECOND]},
    REMOTE_DEBUG: {"RemoteDebugConfig": {"EnableRemoteDebug": True}},
}


def planned(
    request: dict[str, Any], shown: dict[str, Any], differences: Sequence[str], applied: Collection[str]
) -> UpdatePlan:
    return plan_update(request, shown, Observation.from_describe(shown), differences, applied)


def answer(status: str, secondary: str, *, pool: str | None = None, **members: Any) -> dict[str, Any]:
    shown = {} if pool is None else {"WarmPoolStatus": {"Status": pool}}
    return {"TrainingJobStatus": status, "SecondaryStatus": secondary, **RUNS, **shown, **members}


def result_of(plan: UpdatePlan, part: str) -> str:
    """Plan for a single edit."""
    if plan.impossible:
        assert plan == UpdatePlan(impossible={PATHS[part]: plan.impossible[PATHS[part]]})
        return NEVER
    if plan.waiting:
        pool_seconds = 60 if part == KEEP_ALIVE else None
        assert plan == UpdatePlan(waiting={part: plan.waiting[part]}, pool_seconds=pool_seconds)
        return plan.waiting[part]
    assert plan == UpdatePlan(members=TO_SEND[part])
    return SENT


@pytest.mark.parametrize(
    ("status", "secondary", "keep_alive", "profiling", "debugging"),
    [
        ("InProgress", "Starting", STARTED, STARTED, STARTED),
        ("InProgress", "Pending", STARTED, STARTED, STARTED),
        ("InProgress", "LaunchingMLInstances", STARTED, STARTED, STARTED),
        ("InProgress", "PreparingTrainingStack", STARTED, STARTED, STARTED),
        ("InProgress", "Downloading", COMPLETED, SENT, SENT),
        ("InProgress", "Training", COMPLETED, SENT, SENT),
        ("InProgress", "Uploading", COMPLETED, SENT, NEVER),
        ("InProgress", "Interrupted", COMPLETED, SENT, NEVER),
        ("InProgress", "SomethingNew", COMPLETED, SENT, NEVER),
        ("Stopping", "Stopping", NEVER, NEVER, NEVER),
        ("Stopping", "Starting", NEVER, NEVER, NEVER),
        ("Completed", "Completed", "its warm pool", NEVER, NEVER),
        ("Failed", "Failed", NEVER, NEVER, NEVER),
        ("Stopped", "MaxRuntimeExceeded", NEVER, NEVER, NEVER),
    ],
)
def test_each_field_can_be_changed_in_its_phases(
    status: str, secondary: str, keep_alive: str, profiling: str, debugging: str
) -> None:
    results = {KEEP_ALIVE: keep_alive, PROFILER: profiling, RULES: profiling, REMOTE_DEBUG: debugging}
    for part, expected in results.items():
        plan = planned(REQUEST, answer(status, secondary), [PATHS[part]], ())
        assert result_of(plan, part) == expected, part


@pytest.mark.parametrize(
    ("pool", "expected"), [("Available", SENT), ("InUse", SENT), ("Terminated", NEVER), ("Reused", NEVER)]
)
def test_the_keep_alive_period_can_be_changed_while_the_warm_pool_exists(pool: str, expected: str) -> None:
    assert (
        result_of(planned(REQUEST, answer("Completed", "Completed", pool=pool), [KEEP_ALIVE], ()), KEEP_ALIVE)
        == expected
    )


@pytest.mark.parametrize("config", [None, {"InstanceType": "ml.m5.large"}])
def test_a_job_created_without_a_warm_pool_never_gets_one(config: dict[str, Any] | None) -> None:
    shown = answer("Completed", "Completed", pool="Available", ResourceConfig=config)
    assert result_of(planned(REQUEST, shown, [KEEP_ALIVE], ()), KEEP_ALIVE) == NEVER


@pytest.mark.parametrize(
    ("wanted", "runs", "sent"),
    [
        ([RULE], None, [RULE]),
        ([SECOND, RULE], [RULE], [SECOND]),
        ([{"RuleConfigurationName": "cpu"}, SECOND], [RULE], [SECOND]),
        ([SECOND], [RULE], None),
        ([{**RULE, "RuleEvaluatorImage": "other"}], [RULE], None),
        ([{**RULE, "RuleEvaluatorImage": "other"}, SECOND], [RULE], None),
        ([RULE], [RULE, SECOND], None),
    ],
    ids=[
        "the first rule",
        "a rule added",
        "a rule added, the other one set by name only",
        "a rule exchanged",
        "a rule changed",
        "a rule changed and one added",
        "a rule removed",
    ],
)
def test_rules_can_only_be_added(
    wanted: list[dict[str, str]], runs: list[dict[str, str]] | None, sent: list[dict[str, str]] | None
) -> None:
    shown = answer("InProgress", "Training", ProfilerRuleConfigurations=runs)
    plan = planned({"ProfilerRuleConfigurations": wanted}, shown, [RULES], ())
    if sent is None:
        assert plan == UpdatePlan(impossible={RULES: "accepts additional rules only"})
    else:
        assert plan == UpdatePlan(members={"ProfilerRuleConfigurations": sent})


@pytest.mark.parametrize("applied", [[PROFILER], [RULES], [PROFILER, RULES]])
def test_a_profiler_removed_from_the_spec_is_turned_off(applied: list[str]) -> None:
    plan = planned({}, answer("InProgress", "Training"), [], applied)
    assert plan == UpdatePlan(members={"ProfilerConfig": {"DisableProfiler": True}})


def test_the_profiler_is_turned_off_after_the_start_of_the_job() -> None:
    assert planned({}, answer("InProgress", "Starting"), [], [PROFILER]) == UpdatePlan(waiting={PROFILER: STARTED})


@pytest.mark.parametrize(
    ("status", "secondary", "profiling", "applied"),
    [
        ("InProgress", "Training", "Disabled", [PROFILER, RULES]),
        ("InProgress", "Training", "Enabled", []),
        ("Completed", "Completed", "Enabled", [PROFILER, RULES]),
    ],
    ids=["it is off", "it was never set", "the job has ended"],
)
def test_a_removed_profiler_is_left_unchanged(status: str, secondary: str, profiling: str, applied: list[str]) -> None:
    shown = answer(status, secondary, ProfilingStatus=profiling)
    assert planned({}, shown, [], applied) == UpdatePlan()


def test_possible_edits_are_sent_together_and_the_others_are_reported() -> None:
    differences = [*PATHS.values(), "roleARN", "profilerConfiguration"]
    plan = planned(REQUEST, answer("InProgress", "Training"), differences, [PROFILER, RULES])
    assert plan == UpdatePlan(
        members={**TO_SEND[PROFILER], **TO_SEND[RULES], **TO_SEND[REMOTE_DEBUG]},
        waiting={KEEP_ALIVE: COMPLETED},
        impossible={"profilerConfiguration": "is fixed at creation", "roleARN": "is fixed at creation"},
        pool_seconds=60,
    )


@pytest.mark.parametrize(
    ("part", "shown", "reason"),
    [
        (KEEP_ALIVE, answer("InProgress", "Training", ResourceConfig={}), "was created without one"),
        (KEEP_ALIVE, answer("Completed", "Completed", ResourceConfig={}), "was created without one"),
        (KEEP_ALIVE, answer("Completed", "Completed", pool="Terminated"), "the job's pool is Terminated"),
        (KEEP_ALIVE, answer("Completed", "Completed", pool="Reused"), "the job's pool is Reused"),
        (KEEP_ALIVE, answer("Failed", "Failed"), "requires the warm pool of a Completed job"),
        (KEEP_ALIVE, answer("Stopping", "Stopping"), "requires the warm pool of a Completed job"),
        (REMOTE_DEBUG, answer("InProgress", "Uploading"), "only while the job is Downloading or Training"),
        (REMOTE_DEBUG, answer("Completed", "Completed"), "only while the job is Downloading or Training"),
        (RULES, answer("InProgress", "Training", ProfilerRuleConfigurations=[RULE, SECOND]), "additional rules only"),
        (RULES, answer("Failed", "Failed"), "once the job is Failed"),
        (PROFILER, answer("Stopping", "Stopping"), "once the job is Stopping"),
    ],
)
def test_each_impossible_edit_has_its_own_reason(part: str, shown: dict[str, Any], reason: str) -> None:
    plan = planned(REQUEST, shown, [PATHS[part]], ())
    assert reason in plan.impossible[PATHS[part]]


def test_without_drift_the_plan_is_empty() -> None:
    assert planned(REQUEST, answer("InProgress", "Training"), [], [PROFILER, RULES]) == UpdatePlan()


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ({}, ()),
        ({"profilerConfig": {}, "profilerRuleConfigurations": []}, ()),
        ({"profilerConfig": {"s3OutputPath": "s3://bucket"}}, (PROFILER,)),
        ({"profilerRuleConfigurations": [{}], "profilerConfig": {"disableProfiler": True}}, (PROFILER, RULES)),
        ({"remoteDebugConfig": {"enableRemoteDebug": True}}, ()),
    ],
)
def test_applied_fields_are_recorded_if_their_removal_needs_an_update(
    spec: dict[str, Any], parts: tuple[str, ...]
) -> None:
    assert applied_fields(spec) == parts


OURS = "services.k8s.aws/cluster-id"


@pytest.mark.parametrize(
    ("wanted", "present", "applied", "change"),
    [
        ([("a", "1")], {"a": "1", "b": "2"}, ["a"], None),
        ([("a", "1")], {}, [], TagChange({"a": "1"}, ())),
        ([("a", "2")], {"a": "1"}, ["a"], TagChange({"a": "2"}, ())),
        ([], {"b": "2", "a": "1"}, ["b", "a"], TagChange({}, ("a", "b"))),
        ([("b", "2")], {"a": "1"}, ["a"], TagChange({"b": "2"}, ("a",))),
        ([], {"theirs": "1"}, [], None),
        ([], {}, ["gone"], None),
        ([], {OURS: "c", "aws:x": "1"}, [OURS, "aws:x"], None),
        ([(OURS, "forged")], {OURS: "c"}, [], None),
    ],
    ids=[
        "equal",
        "added",
        "changed",
        "removed",
        "exchanged",
        "tags of others are kept",
        "already removed by another client",
        "reserved tags are never removed",
        "reserved tags are never changed",
    ],
)
def test_tags_become_the_desired_ones_and_others_are_kept(
    wanted: list[tuple[str, str]], present: dict[str, str], applied: list[str], change: TagChange | None
) -> None:
    assert plan_tags(wanted, present, applied) == change
