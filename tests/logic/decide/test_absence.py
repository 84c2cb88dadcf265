"""Jobs missing from SageMaker by Describe."""

from __future__ import annotations

from tests.logic.builders import ARN, WANTED
from tests.logic.decide.situations import EDITED, MARKED, NOW, OWNED, condition, decides, own, reports, trouble, when
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import Describe

ABSENCE = [
    when(
        "one NotFound: Describe is repeated before a report",
        reports(again=25.1),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 5, "described_at": NOW - 5},
    ),
    when(
        "one NotFound during an edit: the edit is unfinished",
        reports(again=25.1, unfinished=True),
        EDITED,
        {"not_found": True, "not_found_since": NOW - 5, "described_at": NOW - 5},
    ),
    when(
        "NotFound during an edit, then a failed Describe: the edit is unfinished",
        reports(again=10.0, unfinished=True),
        EDITED,
        {"not_found": True, "not_found_since": NOW - 5, "troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "30 s after NotFound: second Describe",
        Describe(WANTED),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW - 30},
    ),
    when(
        "two NotFound 30 s apart: the job is missing",
        reports(vanished="JobNotFound", release=True),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW},
    ),
    when(
        "NotFound soon after Create: no report",
        reports(again=1.1),
        MARKED,
        {"arn": ARN, "created_at": NOW - 10, "not_found": True, "not_found_since": NOW - 9, "described_at": NOW - 1},
    ),
    when(
        "NotFound soon after Create: Describe after 2 s",
        Describe(WANTED),
        MARKED,
        {"arn": ARN, "created_at": NOW - 10, "not_found": True, "not_found_since": NOW - 9, "described_at": NOW - 2},
    ),
    when(
        "the second Describe fails",
        reports(again=10.0),
        OWNED,
        {
            "not_found": True,
            "not_found_since": NOW - 30,
            "described_at": NOW - 30,
            "troubles": trouble(DESCRIBE, ErrorClass.RETRY),
        },
    ),
    when(
        "a reported JobNotFound is kept",
        reports(vanished="JobNotFound", release=True),
        {"held": True, "status": own(conditions=[condition("Failed", "JobNotFound")])},
    ),
]


test_situation_leads_to_step = decides(ABSENCE)
