"""Jobs that Describe does not find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED
from tests.logic.decide.situations import EDITED, MARKED, NOW, OWNED, condition, own, says, shown, trouble, when
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import (
    Describe,
    Step,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

ABSENCE = [
    when(
        "NotFound once is not believed",
        says(again=25.1),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 5, "described_at": NOW - 5},
    ),
    when(
        "and an edit meanwhile is not done",
        says(again=25.1, unfinished=True),
        EDITED,
        {"not_found": True, "not_found_since": NOW - 5, "described_at": NOW - 5},
    ),
    when(
        "nor while it can't be looked for",
        says(again=10.0, unfinished=True),
        EDITED,
        {"not_found": True, "not_found_since": NOW - 5, "troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "it is looked for again",
        Describe(WANTED),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW - 30},
    ),
    when(
        "twice, well apart, is",
        says(vanished="JobNotFound", release=True),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW},
    ),
    when(
        "NotFound for what was just created means nothing",
        says(again=1.1),
        MARKED,
        {"arn": ARN, "created_at": NOW - 10, "not_found": True, "not_found_since": NOW - 9, "described_at": NOW - 1},
    ),
    when(
        "so it is looked for at once",
        Describe(WANTED),
        MARKED,
        {"arn": ARN, "created_at": NOW - 10, "not_found": True, "not_found_since": NOW - 9, "described_at": NOW - 2},
    ),
    when(
        "the second look fails",
        says(again=10.0),
        OWNED,
        {
            "not_found": True,
            "not_found_since": NOW - 30,
            "described_at": NOW - 30,
            "troubles": trouble(DESCRIBE, ErrorClass.RETRY),
        },
    ),
    when(
        "a job that was told to be gone stays so",
        says(vanished="JobNotFound", release=True),
        {"held": True, "status": own(conditions=[condition("Failed", "JobNotFound")])},
    ),
]


@pytest.mark.parametrize(("view", "step"), ABSENCE)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step
