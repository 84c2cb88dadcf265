"""Positions in the create queue."""

from __future__ import annotations

from typing import Any

import pytest

from tests.logic.builders import WANTED, resource
from tests.logic.decide.situations import NOW, TOO_SMALL, condition, decides, reports, trouble, view_of, when
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide import turns
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.create_order import Place
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.memory import Unmarked
from trainingjob_operator.logic.state.steps import Create, JoinQueue, Requeue, Step, WriteStatus

TURNS = [
    when("waiting for less than a second: no report", Requeue(1.05), place=Place(3, None)),
    when(
        "waiting for half a second: no report", Requeue(0.55), known={"waiting_since": NOW - 0.5}, place=Place(3, None)
    ),
    when(
        "waiting for 2 s: report the position",
        reports(waiting="Waiting", place="3 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 2},
        place=Place(3, None),
    ),
    when(
        "first in the queue: report it",
        reports(waiting="Waiting", place="it is next in the queue", again=60.0),
        known={"waiting_since": NOW - 2},
        place=Place(0, "ml.p4d.24xlarge"),
    ),
    when(
        "position reported 59 s ago: no change",
        reports(waiting="Waiting", place="9 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 90, "place_shown": ("9 objects ahead of it in the queue", NOW - 59)},
        place=Place(3, None),
    ),
    when(
        "position reported a minute ago: report the new one",
        reports(waiting="Waiting", place="3 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 90, "place_shown": ("9 objects ahead of it in the queue", NOW - 60)},
        place=Place(3, None),
    ),
    when(
        "waiting for capacity: report SageMaker's error and the position",
        reports(hindrance="Code", place="it is next in the queue", again=60.0),
        known={"tried": 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
        place=Place(0, "ml.p4d.24xlarge"),
    ),
    when(
        "denied, in the queue again: report the error and the position",
        reports(hindrance="AccessDenied", place="2 objects ahead of it in the queue", again=60.0),
        known={"tried": 1, "troubles": trouble(CREATE, ErrorClass.DENIED, again=0.0)},
        place=Place(2, None),
    ),
    when(
        "quota too small for the job: no position",
        reports(hindrance="QuotaTooSmall", again=10.0),
        known={"tried": 1, "troubles": TOO_SMALL},
    ),
    when(
        "the API server rejected the intent: report, no turn",
        reports(hindrance="MetadataNotWritten", again=20.0),
        known={"unmarked": Unmarked(resource().writable_state, "words", 3, NOW + 20)},
    ),
    when(
        "the API server rejected the intent, back-off has passed: join the queue",
        JoinQueue(WANTED),
        known={"unmarked": Unmarked(resource().writable_state, "words", 3, NOW)},
    ),
    when(
        "the API server rejected the intent, object changed: join the queue",
        JoinQueue(WANTED),
        {"annotations": {"note": "short"}},
        {"unmarked": Unmarked(resource().writable_state, "words", 3, NOW + 20)},
    ),
]


test_situation_leads_to_step = decides(TURNS)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(3, None), "Waiting for its turn to create the training job: 3 objects ahead of it in the queue."),
        (
            Place(1, "capacity of ml.p5.48xlarge"),
            "Waiting for capacity of ml.p5.48xlarge: 1 object ahead of it in the queue.",
        ),
        (
            Place(2, "the quota 'x'", is_passing=True),
            "Waiting for the quota 'x': 2 objects ahead of it in the queue; smaller jobs may pass if they fit.",
        ),
        (
            Place(0, "the quota 'x'", is_reserved=True),
            (
                "Waiting for the quota 'x': it is next in the queue; freed capacity is reserved for the "
                "longest-waiting object."
            ),
        ),
    ],
)
def test_a_position_is_reported_with_the_awaited_resource(place: Place, words: str) -> None:
    step = decide(view_of({}, {"waiting_since": NOW - 5}, {}, {"place": place}))
    assert isinstance(step, WriteStatus)
    assert step.waiting == Finding(reasons.WAITING, words)


@pytest.mark.parametrize(
    ("object", "known", "tried"),
    [
        ({}, {}, False),
        ({}, {"tried": 1}, True),
        ({"generation": 2}, {"tried": 1}, False),
        ({}, {"unmarked": Unmarked((1, 0), "words", 1, NOW)}, True),
        (
            {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Recoverable", "AccessDenied", "")]}},
            {},
            True,
        ),
        (
            {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "CreateFailed", "")]}},
            {},
            True,
        ),
        (
            {"status": {"observedGeneration": 2, "conditions": [condition("ACK.Terminal", "CreateFailed", "")]}},
            {},
            False,
        ),
        (
            {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Recoverable", "Throttled", "")]}},
            {},
            False,
        ),
    ],
)
def test_an_earlier_attempt_is_recognized_from_memory_or_status(
    object: dict[str, Any],  # noqa: A002
    known: dict[str, Any],
    tried: bool,
) -> None:
    assert turns.was_tried(view_of(object, known, {}, {})) == tried


@pytest.mark.parametrize(
    ("step", "place", "own_turn", "gives_up"),
    [
        (Create(WANTED), None, True, False),
        (WriteStatus(), None, True, True),
        (Requeue(1.0), Place(1, None), False, False),
        (WriteStatus(place="it is next in the queue"), Place(0, None), False, False),
        (WriteStatus(), Place(1, None), False, True),
        (WriteStatus(), None, False, False),
    ],
)
def test_a_turn_is_released_unless_the_step_uses_or_awaits_it(
    step: Step, place: Place | None, *, own_turn: bool, gives_up: bool
) -> None:
    view = view_of({}, {}, {}, {"place": place, "own_turn": own_turn})
    assert turns.gives_up_turn(step, view) is gives_up
