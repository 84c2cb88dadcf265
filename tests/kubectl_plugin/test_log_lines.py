"""Lines of several instances in order, each once, and the metrics in them."""

from __future__ import annotations

from kubectl_trainingjob.logic.log_lines import (
    MAX_REMEMBERED,
    OVERLAP_MILLISECONDS,
    LogLine,
    ShownLines,
    choose_streams,
    read_instance,
    read_line,
)
from kubectl_trainingjob.logic.metric_series import find_series


def line(milliseconds: int, text: str = "", key: str = "", instance: str = "algo-1") -> LogLine:
    return LogLine(milliseconds, instance, text, key or f"{milliseconds}{text}")


def test_the_instance_is_in_the_name_of_the_stream() -> None:
    assert read_instance("churn/algo-1-1700000000") == "algo-1"
    assert read_instance("churn/other") == "other"
    event = {"logStreamName": "churn/algo-2-17", "timestamp": 5, "message": "x", "eventId": "e"}
    assert read_line(event) == LogLine(5, "algo-2", "x", "e")


def test_streams_are_chosen_by_number_or_name() -> None:
    streams = ["c/algo-10-1", "c/algo-1-1", "c/algo-2-1"]
    assert choose_streams(streams, []) == sorted(streams)
    assert choose_streams(streams, ["1"]) == ["c/algo-1-1"]
    assert choose_streams(streams, ["algo-2", "10"]) == ["c/algo-10-1", "c/algo-2-1"]


def test_a_first_read_has_no_start() -> None:
    assert ShownLines(None).next_start is None


def test_overlapping_reads_show_each_line_once_and_late_lines_too() -> None:
    shown = ShownLines(None)
    assert [each.text for each in shown.take([line(200_000, "b"), line(100_000, "a")])] == ["a", "b"]
    assert shown.next_start == 200_000 - OVERLAP_MILLISECONDS
    late = line(150_000, "late", instance="algo-2")
    assert shown.take([line(200_000, "b"), late]) == [late]
    assert shown.take([line(200_000, "b"), late]) == []


def test_equal_lines_at_the_same_time_are_both_shown() -> None:
    assert len(ShownLines(None).take([line(1, "x", "one"), line(1, "x", "two")])) == 2


def test_the_next_start_is_never_before_the_first_and_the_memory_is_bounded() -> None:
    shown = ShownLines(190_000)
    shown.take([line(200_000)])
    assert shown.next_start == 190_000
    shown.take(line(200_000 + number) for number in range(MAX_REMEMBERED + 5))
    assert len(shown._ids) == MAX_REMEMBERED


def test_metrics_are_found_by_their_definitions() -> None:
    lines = [line(1000, "loss=0.5 acc=1e-1"), line(2000, "loss=nan"), line(3000, "loss=x"), line(4000, "loss=2")]
    loss, accuracy, whole, bad, absent = find_series(
        [("loss", r"loss=(\S+)"), ("acc", "acc=(.*)"), ("whole", r"\d\.\d"), ("bad", "("), ("absent", "never")], lines
    )
    assert loss.points == ((1.0, 0.5), (4.0, 2.0))
    assert accuracy.points == ((1.0, 0.1),)
    assert whole.points == ((1.0, 0.5),)
    assert "invalid" in bad.problem
    assert "no log line" in absent.problem
