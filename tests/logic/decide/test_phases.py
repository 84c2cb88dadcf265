"""Passive objects."""

from __future__ import annotations

from tests.logic.builders import WANTED
from tests.logic.decide.situations import EDITED, ENDED, NOW, PROVEN, condition, decides, of, own, reports, when
from trainingjob_operator.logic.state.memory import ACK_MANAGER
from trainingjob_operator.logic.state.steps import Describe, JoinQueue, RemoveFinalizer, Requeue, Stop

PASSIVITY = [
    when(
        "another controller writes the object: report it once and become passive",
        reports(advisories=("Passive",), passive=True, again=50.0, unfinished=True),
        known={"passive_until": NOW + 50, "foreign_writer": "dashboard"},
    ),
    when(
        "passive: keep the advisory about an edit",
        reports(advisories=("Passive", "EditPending"), passive=True, again=50.0, unfinished=True),
        {**EDITED, "status": own(conditions=[condition("ACK.Advisory", "EditPending")])},
        {"passive_until": NOW + 50, "foreign_writer": ACK_MANAGER},
    ),
    when("passive and reported: requeue", Requeue(50.0), known={"passive_until": NOW + 50, "passive_shown": True}),
    when(
        "the other controller stopped writing: join the create queue", JoinQueue(WANTED), known={"passive_until": NOW}
    ),
    when(
        "the flag overrides passive: join the create queue",
        JoinQueue(WANTED),
        known={"passive_until": NOW + 50},
        overrides_passive=True,
    ),
    when(
        "passive, object deleted: Stop",
        Stop(WANTED),
        {"held": True, "deleting": True, "status": own()},
        {"passive_until": NOW + 50, "passive_shown": True, **PROVEN},
    ),
    when(
        "passive, object deleted, deletion policy retain: remove the finalizer",
        RemoveFinalizer(),
        {"held": True, "deleting": True, "status": own(), "annotations": of(deletion="retain")},
        {"passive_until": NOW + 50},
    ),
    when(
        "status disputed by another field manager: Describe",
        Describe(WANTED),
        {"held": True, "deleting": True, "status": own(ENDED)},
        {"disputed": True, "needs_describe": True},
    ),
]


test_situation_leads_to_step = decides(PASSIVITY)
