"""Status for each recorded answer of DescribeTrainingJob: tests/data/golden/<case>/{describe,status}.yaml.

`pytest --update-golden` rewrites the expected files; review the diff afterwards.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.logic.answers import NOW, report
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.status.contents import build_status

CASES = sorted(Path(__file__).parents[2].joinpath("data", "golden").glob("*/describe.yaml"))


@pytest.mark.parametrize("describe", [pytest.param(path, id=path.parent.name) for path in CASES])
def test_the_status_of_an_answer_equals_the_golden_file(describe: Path, pytestconfig: pytest.Config) -> None:
    answer = yaml.safe_load(describe.read_text())
    learned = report(
        Observation.from_describe(answer), arn=answer.get("TrainingJobArn"), job_name=answer["TrainingJobName"]
    )
    status = build_status({}, learned, NOW)
    expected = describe.with_name("status.yaml")
    if pytestconfig.getoption("--update-golden"):
        expected.write_text(yaml.safe_dump(status, sort_keys=False, width=110))
    assert status == yaml.safe_load(expected.read_text())


def test_golden_cases_exist() -> None:
    assert len(CASES) >= 10
