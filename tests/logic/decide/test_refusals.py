"""Refused specs, in this process and after a restart."""

from __future__ import annotations

from typing import Any

from tests.logic.builders import ARN, WANTED
from tests.logic.decide.situations import (
    ARN_ELSEWHERE,
    FOUND_ABSENT,
    MARKED,
    NOW,
    REFUSED,
    condition,
    decides,
    reports,
    trouble,
    when,
)
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import ClearIntent, Describe, Idle, JoinQueue

CLASH_STATUS: dict[str, Any] = {"clashingJobARN": ARN, "conditions": [condition("ACK.Terminal", "NameClash")]}

REFUSALS = [
    when(
        "refused spec: no second Create",
        reports(terminal="Refused", disowned=True),
        known={"refused": (1, REFUSED, None)},
    ),
    when(
        "refused spec with a retry time: requeue",
        reports(terminal="Refused", disowned=True, again=60.0),
        known={"refused": (1, REFUSED, NOW + 60)},
    ),
    when(
        "refused spec, retry time has passed: join the create queue",
        JoinQueue(WANTED),
        known={"refused": (1, REFUSED, NOW)},
    ),
    when(
        "refused spec, edited: join the create queue",
        JoinQueue(WANTED),
        {"generation": 2},
        {"refused": (1, REFUSED, None)},
    ),
    when(
        "refused spec with intent: clear the intent, so that deletion needs no operator",
        ClearIntent(REFUSED),
        MARKED,
        {"refused": (1, REFUSED, NOW + 60), "attempted_at": NOW - 1},
    ),
    when(
        "refused by an earlier process: idle",
        Idle(Finding("Refused", "Words.")),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "name clash reported by an earlier process: keep the report",
        reports(terminal="NameClash", disowned=True),
        {"status": {"observedGeneration": 1, **CLASH_STATUS}},
    ),
    when(
        "name clash reported by an earlier process, edited: join the create queue",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"observedGeneration": 1, **CLASH_STATUS}},
    ),
    when(
        "name clash without the ARN, pruned by an old CRD: Describe",
        Describe(WANTED),
        {"status": {"conditions": CLASH_STATUS["conditions"]}},
    ),
    when(
        "name clash without the ARN, Describe is throttled: keep the report",
        reports(terminal="NameClash", disowned=True, again=10.0),
        {"status": {"conditions": CLASH_STATUS["conditions"]}},
        {"troubles": trouble(DESCRIBE, ErrorClass.THROTTLED)},
    ),
    when(
        "name clash without the ARN, no job now: join the create queue",
        JoinQueue(WANTED),
        {"status": {"conditions": CLASH_STATUS["conditions"]}},
        FOUND_ABSENT,
    ),
    when(
        "refused spec without a generation, pruned by an old CRD: join the create queue",
        JoinQueue(WANTED),
        {"status": {"conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "name clash in another region than the annotation: join the create queue",
        JoinQueue(WANTED),
        {"status": {"observedGeneration": 1, **CLASH_STATUS, "clashingJobARN": ARN_ELSEWHERE}},
    ),
    when(
        "refused by an earlier process, edited: join the create queue",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "refused by an earlier process, retry requested: join the create queue",
        JoinQueue(WANTED),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
        {"asked": True},
    ),
]


test_situation_leads_to_step = decides(REFUSALS)
