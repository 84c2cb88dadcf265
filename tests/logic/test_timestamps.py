from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from trainingjob_operator.logic.timestamps import format_second, format_time, normalize_time, parse_time

MOMENT = datetime(2026, 11, 21, 10, 33, 44, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        pytest.param("2026-11-21T10:33:44Z", MOMENT, id="Kubernetes"),
        pytest.param("2026-11-21T12:33:44+02:00", MOMENT, id="with an offset"),
        pytest.param("2026-11-21T10:33:44.123456789Z", MOMENT.replace(microsecond=123_000), id="in nanoseconds"),
        pytest.param(MOMENT.astimezone(timezone(timedelta(hours=-8))), MOMENT, id="boto3"),
        pytest.param(MOMENT.replace(microsecond=123_999), MOMENT.replace(microsecond=123_000), id="in microseconds"),
    ],
)
def test_a_time_is_parsed_in_utc_to_the_millisecond(value: object, moment: datetime) -> None:
    assert parse_time(value) == moment


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "yesterday",
        "2026-11-21",
        "2026-11-21T10:33:44",
        "2026-W47-6T10:33:44Z",
        "2026-13-21T10:33:44Z",
        "2026-11-21T10:33:44Z" * 10_000,
        1_763_721_224.0,
        MOMENT.replace(tzinfo=None),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_an_invalid_time_is_none(value: object) -> None:
    assert parse_time(value) is None


def test_milliseconds_are_written_only_if_not_zero() -> None:
    assert format_time(MOMENT) == "2026-11-21T10:33:44Z"
    assert format_time(MOMENT.replace(microsecond=7_000)) == "2026-11-21T10:33:44.007Z"
    assert format_second(MOMENT.replace(microsecond=999_999)) == "2026-11-21T10:33:44Z"


def test_times_of_other_zones_are_written_in_utc() -> None:
    assert format_time(MOMENT.astimezone(timezone(timedelta(hours=9)))) == "2026-11-21T10:33:44Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-21T10:33:44Z", "2026-11-21T10:33:44Z"),
        ("2026-11-21T10:33:44.007Z", "2026-11-21T10:33:44.007Z"),
        ("2026-11-21T10:33:44.0079Z", "2026-11-21T10:33:44.007Z"),
        ("2026-11-21T12:33:44+02:00", "2026-11-21T10:33:44Z"),
        (MOMENT.replace(microsecond=7_900), "2026-11-21T10:33:44.007Z"),
        ("2026-13-21T10:33:44Z", None),
        (None, None),
    ],
)
def test_every_spelling_of_a_time_is_normalized(value: object, text: str | None) -> None:
    assert normalize_time(value) == text
