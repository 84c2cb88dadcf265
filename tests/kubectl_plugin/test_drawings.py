"""Timeline, curve and table to scale, and untrusted text without escape sequences."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console, RenderableType

from kubectl_trainingjob.logic.durations import format_age, format_duration, parse_duration
from kubectl_trainingjob.logic.explanation import explain
from kubectl_trainingjob.logic.metric_series import Series
from kubectl_trainingjob.logic.plot import draw
from kubectl_trainingjob.logic.text import escape, escape_json, escape_line
from kubectl_trainingjob.logic.timeline import align_by_clock, build_lane, place, tick_step, total_seconds
from kubectl_trainingjob.views.explanation_view import draw_explanations, mark_code
from kubectl_trainingjob.views.job_table import build_table, summarize
from kubectl_trainingjob.views.metric_view import draw_series
from kubectl_trainingjob.views.page import draw_page
from kubectl_trainingjob.views.timeline_view import draw_lanes, draw_svg
from tests.kubectl_plugin.objects import NOW, at, condition, job, steps

EVIL = "\x1b]0;owned\x07\x1b[2Jname\r\u202e"

DONE = job(
    condition("Complete"),
    phase="Completed",
    secondaryStatusTransitions=steps(("Starting", 0), ("Training", 10), ("Uploading", 90), ("Completed", 100), end=100),
    trainingEndTime=at(100),
)


def shown(*parts: RenderableType, width: int = 80, color: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False, force_terminal=color)
    console.print(*parts, sep="\n")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars_are_to_scale() -> None:
    lane = build_lane(DONE, NOW)
    assert [(bar.status, bar.offset, bar.seconds) for bar in lane.bars] == [
        ("Starting", 0, 10),
        ("Training", 10, 80),
        ("Uploading", 90, 10),
    ]
    assert [place(bar, 0, 100, 50) for bar in lane.bars] == [(0, 5), (5, 40), (45, 5)]
    assert total_seconds([lane]) == 100


def test_a_current_status_extends_to_now_and_is_marked() -> None:
    running = job(phase="InProgress", secondaryStatusTransitions=steps(("Starting", 0), ("Training", 60)))
    lane = build_lane(running, NOW)
    assert (lane.bars[-1].seconds, lane.bars[-1].is_open) == (540, True)
    assert "9m …" in shown(*draw_lanes([lane], 80))


def test_jobs_are_drawn_from_zero_or_by_the_clock() -> None:
    later = job(condition("Complete"), phase="Completed", secondaryStatusTransitions=steps(("Training", 300), end=400))
    empty = job(phase="Waiting", has_job=False)
    lanes = [build_lane(each, NOW) for each in (DONE, later, empty)]
    assert [lane.lead for lane in align_by_clock(lanes)] == [0, 300, 0]
    assert total_seconds(align_by_clock(lanes)) == 400
    assert "no secondary status recorded yet" in shown(*draw_lanes(lanes, 80))


@pytest.mark.parametrize(("total", "step"), [(5, 1), (59, 10), (3600, 600), (86400 * 10, 86400 * 2), (1e9, 86400 * 28)])
def test_marks_of_the_axis_are_round(total: float, step: int) -> None:
    assert tick_step(total, 6) == step


def test_the_svg_is_valid_and_to_scale() -> None:
    picture = ET.fromstring(draw_svg([build_lane(DONE, NOW)]))
    widths = [float(box.attrib["width"]) for box in picture.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths == pytest.approx([66, 528, 66])


def test_a_curve_extends_from_corner_to_corner() -> None:
    lines = draw([(0, 0), (1, 1)], 10, 3)
    assert [len(line) for line in lines] == [10, 10, 10]
    assert lines[0][-1] != "\u2800"
    assert lines[-1][0] != "\u2800"
    assert draw([(5, 2)], 4, 1) != draw([], 4, 1)
    assert "1 value," in shown(*draw_series(Series("loss", ((1.0, 2.0),)), 80))


@pytest.mark.parametrize("color", [False, True])
def test_untrusted_text_cannot_control_the_terminal(color: bool) -> None:
    subject = job(
        condition("Failed", reason="JobFailed", message=EVIL),
        condition("ACK.Advisory", reason=EVIL, message=EVIL),
        phase=EVIL,
        secondaryStatus=EVIL,
        failureReason=EVIL,
        secondaryStatusTransitions=[{"status": EVIL, "startTime": at(0), "statusMessage": EVIL}],
        finalMetricDataList=[{"metricName": EVIL, "value": 1}],
        spec={"trainingJobName": EVIL, "roleARN": EVIL, "hyperParameters": {EVIL: EVIL}},
    )
    event = {"reason": EVIL, "message": EVIL, "type": "Warning", "lastTimestamp": at(0)}
    text = shown(
        *draw_page(subject, [event], NOW, width=80, values=True),
        build_table([subject], NOW, namespaces=True, wide=True),
        *draw_explanations(subject, explain(subject, NOW)),
        *draw_series(Series(EVIL, (), EVIL), 80),
        summarize([subject]),
        width=400,
        color=color,
    )
    assert not {"\x07", "\r", "\u202e"} & set(text)
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert "^[]0;owned^G" in text


def test_log_lines_keep_colors_and_the_last_state_of_a_progress_bar() -> None:
    assert escape_line("\x1b[31mred\x1b[0m\x1b[2J\n") == "\x1b[31mred\x1b[0m^[[2J"
    assert escape_line("10%\r50%\r100%\n") == "100%"
    assert escape("a\tb\nc\x00\x9b") == "a\tb\nc^@\\u009b"


def test_json_for_a_terminal_has_the_same_value() -> None:
    document = json.dumps({"é\x9b2J": "\u202e\n\x1b"}, ensure_ascii=False, indent=2)
    shown = escape_json(document)
    assert json.loads(shown) == json.loads(document)
    assert "é" in shown
    assert not {"\x9b", "\u202e", "\x1b"} & set(shown)


def test_words_in_backticks_are_bold() -> None:
    assert mark_code("set `x: y` now").plain == "set x: y now"
    assert [span.style for span in mark_code("set `x: y` now").spans] == ["bold"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1d2h3m4s", 93784)]
)
def test_durations_are_parsed(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "1.5h", "1 h", "-5m", "5mm"])
def test_an_invalid_duration_is_rejected_with_the_valid_form(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 90s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0, "0s"),
        (119, "119s"),
        (125, "2m5s"),
        (600, "10m"),
        (3 * 3600 + 300, "3h5m"),
        (90000, "25h"),
        (400000, "4d15h"),
    ],
)
def test_ages_are_those_of_kubectl(seconds: int, age: str) -> None:
    assert format_age(seconds) == age
