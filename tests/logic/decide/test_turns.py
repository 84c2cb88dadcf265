"""Positions in the create queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import WANTED, resource
from tests.logic.decide.situations import NOW, TOO_SMALL, condition, look_at, says, shown, trouble, when
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide import turns
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.create_order import Place
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.memory import Unmarked
from trainingjob_operator.logic.state.steps import (
    Create,
    JoinQueue,
    Requeue,
    Step,
    WriteStatus,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

TURNS = [
    when("a turn that may come within a second is no news", Requeue(1.05), place=Place(3, None)),
    when("nor half a second later", Requeue(0.55), known={"waiting_since": NOW - 0.5}, place=Place(3, None)),
    when(
        "after that its place is told",
        says(waiting="Waiting", place="3 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 2},
        place=Place(3, None),
    ),
    when(
        "the first in line is told so",
        says(waiting="Waiting", place="it is next in the queue", again=60.0),
        known={"waiting_since": NOW - 2},
        place=Place(0, "ml.p4d.24xlarge"),
    ),
    when(
        "a place is rewritten once a minute at most",
        says(waiting="Waiting", place="9 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 90, "place_shown": ("9 objects ahead of it in the queue", NOW - 59)},
        place=Place(3, None),
    ),
    when(
        "after a minute it is",
        says(waiting="Waiting", place="3 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 90, "place_shown": ("9 objects ahead of it in the queue", NOW - 60)},
        place=Place(3, None),
    ),
    when(
        "what waits for capacity says so in the service's words",
        says(hindrance="Code", place="it is next in the queue", again=60.0),
        known={"tried": 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
        place=Place(0, "ml.p4d.24xlarge"),
    ),
    when(
        "what was refused and stands in line again says why it was refused",
        says(hindrance="AccessDenied", place="2 objects ahead of it in the queue", again=60.0),
        known={"tried": 1, "troubles": trouble(CREATE, ErrorClass.DENIED, again=0.0)},
        place=Place(2, None),
    ),
    when(
        "a quota that is too small is no wait for capacity",
        says(hindrance="QuotaTooSmall", again=10.0),
        known={"tried": 1, "troubles": TOO_SMALL},
    ),
    when(
        "a mark that was refused is told, and no turn is taken",
        says(hindrance="MetadataNotWritten", again=20.0),
        known={"unmarked": Unmarked(resource().writable_state, "words", 3, NOW + 20)},
    ),
    when(
        "until its time has come",
        JoinQueue(WANTED),
        known={"unmarked": Unmarked(resource().writable_state, "words", 3, NOW)},
    ),
    when(
        "or the object has changed",
        JoinQueue(WANTED),
        {"annotations": {"note": "short"}},
        {"unmarked": Unmarked(resource().writable_state, "words", 3, NOW + 20)},
    ),
]


@pytest.mark.parametrize(("view", "step"), TURNS)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


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
def test_a_place_is_told_with_what_is_waited_for(place: Place, words: str) -> None:
    step = decide(look_at({}, {"waiting_since": NOW - 5}, {}, {"place": place}))
    assert isinstance(step, WriteStatus)
    assert step.waiting == Finding(reasons.WAITING, words)


@pytest.mark.parametrize(
    ("seen", "known", "tried"),
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
def test_what_was_tried_before_is_known_after_a_restart_too(
    seen: dict[str, Any], known: dict[str, Any], tried: bool
) -> None:
    assert turns.was_tried(look_at(seen, known, {}, {})) == tried


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
def test_only_what_waits_for_its_turn_or_uses_it_keeps_it(
    step: Step, place: Place | None, *, own_turn: bool, gives_up: bool
) -> None:
    view = look_at({}, {}, {}, {"place": place, "own_turn": own_turn})
    assert turns.gives_up_turn(step, view) is gives_up
