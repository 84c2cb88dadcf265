"""Reports of failed calls."""

from __future__ import annotations

import pytest

from tests.logic.decide.situations import look_at, says, shown, trouble
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import CREATE


@pytest.mark.parametrize(
    ("kind", "at_once", "reason"),
    [
        (ErrorClass.DENIED, True, "AccessDenied"),
        (ErrorClass.DOUBTFUL, True, "CreateFailing"),
        (ErrorClass.THROTTLED, False, "Throttled"),
        (ErrorClass.CREDENTIALS, False, "CredentialsInvalid"),
        (ErrorClass.RETRY, False, "ServiceUnavailable"),
        (ErrorClass.CONFLICT, False, "Code"),
        (ErrorClass.REFUSED, True, "Code"),
    ],
)
def test_what_people_must_act_on_is_told_at_once_and_what_passes_when_it_lasts(
    kind: ErrorClass, *, at_once: bool, reason: str
) -> None:
    for lasts, is_told in ((0.0, at_once), (59.0, at_once), (60.0, True)):
        known = {"tried": 1, "troubles": trouble(CREATE, kind, lasts=lasts)}
        step = decide(look_at({}, known, {}, {}))
        assert shown(step) == (says(hindrance=reason, again=10.0) if is_told else says(again=10.0))
