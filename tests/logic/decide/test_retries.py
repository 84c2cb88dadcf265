"""Reports of failed calls."""

from __future__ import annotations

import pytest

from tests.logic.decide.situations import reports, shown, trouble, view_of
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
def test_errors_for_users_are_reported_at_once_and_transient_ones_after_a_minute(
    kind: ErrorClass, *, at_once: bool, reason: str
) -> None:
    for lasts, is_reported in ((0.0, at_once), (59.0, at_once), (60.0, True)):
        known = {"tried": 1, "troubles": trouble(CREATE, kind, lasts=lasts)}
        step = decide(view_of({}, known, {}, {}))
        assert shown(step) == (reports(hindrance=reason, again=10.0) if is_reported else reports(again=10.0))
