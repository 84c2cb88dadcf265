"""ListTrainingJobs: filters, order, paging, and SageMaker's quirks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sagemaker.service import ServiceError
from tests.sagemaker.test_jobs import START, TimedService


def fleet(**settings: Any) -> TimedService:
    """Ten jobs, `job-0` to `job-9`, created ten seconds apart, each with a life of 100 s. The clock ends at START +
    100.
    """
    service = TimedService(**settings)
    for number in range(10):
        service.time = START + 10 * number
        service.create(f"job-{number}")
    service.time = START + 100
    return service


def pages(service: TimedService, **filters: Any) -> list[list[str]]:
    """The names, page by page."""
    found: list[list[str]] = []
    token: dict[str, str] = {}
    while len(found) < 50:
        answer = service("ListTrainingJobs", **filters, **token)
        found.append([summary["TrainingJobName"] for summary in answer["TrainingJobSummaries"]])
        if "NextToken" not in answer:
            return found
        token = {"NextToken": answer["NextToken"]}
    return found


def names(*numbers: int) -> list[str]:
    return [f"job-{number}" for number in numbers]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, names(*range(9, -1, -1))),
        ({"SortOrder": "Ascending"}, names(*range(10))),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, names(*range(10))),
        ({"SortBy": "Name"}, names(*range(9, -1, -1))),
        ({"CreationTimeAfter": START + 60}, names(9, 8, 7)),
        ({"CreationTimeBefore": START + 20, "SortOrder": "Ascending"}, names(0, 1)),
        ({"NameContains": "B-3"}, names(3)),
        ({"StatusEquals": "Completed"}, names(0)),
        ({"SortBy": "Status", "SortOrder": "Ascending", "NameContains": "job"}, names(0, *range(1, 10))),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 10, 100])
def test_filters_and_order_are_independent_of_the_page_size(
    filters: dict[str, Any], expected: list[str], size: int
) -> None:
    service = fleet()
    got = pages(service, **filters, MaxResults=size)
    assert [name for page in got for name in page] == expected
    if "StatusEquals" not in filters:
        assert all(len(page) == size for page in got[:-1])


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_modification_filters_use_the_time_of_the_last_transition(order: str, size: int) -> None:
    service = fleet()
    modified = {f"job-{number}": service.describe(f"job-{number}", 100)["LastModifiedTime"] for number in range(10)}
    edge = START + 80
    later = [name for name in sorted(modified, reverse=order == "Descending") if modified[name] > edge]
    assert 0 < len(later) < 10
    after = pages(service, LastModifiedTimeAfter=edge, SortOrder=order, MaxResults=size)
    assert [name for page in after for name in page] == later
    before = pages(service, LastModifiedTimeBefore=edge, SortOrder=order, MaxResults=size)
    earlier = {name for page in before for name in page}
    assert earlier == {name for name, at in modified.items() if at < edge}


def test_status_equals_is_applied_to_the_page_as_documented() -> None:
    assert pages(fleet(), StatusEquals="Completed", MaxResults=5) == [[], names(0)]


def test_a_page_has_ten_jobs_by_default() -> None:
    service = fleet()
    service.create("job-10")
    assert [len(page) for page in pages(service)] == [10, 1]


def test_time_filters_may_be_applied_after_paging() -> None:
    service = fleet(filters_after_paging=frozenset({"LastModifiedTimeAfter", "CreationTimeAfter"}))
    assert [len(page) for page in pages(service, CreationTimeAfter=START + 60, MaxResults=2)] == [2, 1, 0, 0, 0]
    assert len(pages(service, LastModifiedTimeAfter=START + 99, MaxResults=2)) == 5


def test_last_modified_after_may_continue_with_empty_pages() -> None:
    assert pages(fleet(empty_pages=3), LastModifiedTimeAfter=START + 1000) == [[], [], [], []]
    assert len(pages(fleet(empty_pages=-1), LastModifiedTimeAfter=START + 1000)) == 50
    assert len(pages(fleet(empty_pages=-1), CreationTimeAfter=START)) == 1


def test_summaries_may_be_stale() -> None:
    service = fleet(stale_list_seconds=30.0)
    summaries = service("ListTrainingJobs", MaxResults=100)["TrainingJobSummaries"]
    assert [summary["TrainingJobName"] for summary in summaries] == names(*range(7, -1, -1))
    assert summaries[-1]["SecondaryStatus"] == "Training"
    assert service.describe("job-0", 100)["SecondaryStatus"] == "Completed"


def test_young_jobs_may_be_hidden_from_reads() -> None:
    service = fleet(hidden_seconds=30.0)
    assert len(pages(service, MaxResults=100)[0]) == 8
    with pytest.raises(ServiceError, match="Requested resource not found"):
        service("DescribeTrainingJob", TrainingJobName="job-9")


def test_modification_order_follows_stops_and_updates() -> None:
    service = fleet(stop_seconds=1000.0)
    service.time = START + 50.5
    assert pages(service, LastModifiedTimeAfter=START + 49)[0]
    service.time = START + 101
    service("StopTrainingJob", TrainingJobName="job-4")
    assert pages(service, LastModifiedTimeAfter=START + 100.9) == [names(4)]
    service.time = START + 120
    assert "job-4" not in pages(service, LastModifiedTimeAfter=START + 110, MaxResults=100)[0]


def test_a_page_starts_after_the_last_job_while_jobs_are_created_and_deleted() -> None:
    service = fleet()
    first = service("ListTrainingJobs", MaxResults=3)
    service.create("job-x")
    service("DeleteTrainingJob", TrainingJobName="job-0")
    second = service("ListTrainingJobs", MaxResults=100, NextToken=first["NextToken"])
    assert [s["TrainingJobName"] for s in second["TrainingJobSummaries"]] == names(6, 5, 4, 3, 2, 1)


@pytest.mark.parametrize("token", ["nonsense", "e30=", "WyJOYW1lIiwgWyJ4Il1d"])
def test_a_token_of_another_list_is_rejected(token: str) -> None:
    with pytest.raises(ServiceError, match="Invalid NextToken"):
        fleet()("ListTrainingJobs", NextToken=token)
