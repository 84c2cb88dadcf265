"""Colors by outcome and by secondary status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_trainingjob.logic.job import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.SUCCEEDED: "green",
    Outcome.FAILED: "red",
    Outcome.REFUSED: "red",
    Outcome.LOST: "red",
    Outcome.STOPPED: "yellow",
    Outcome.RUNNING: "cyan",
    Outcome.WAITING: "magenta",
}

STEPS: Mapping[str, str] = {
    "Starting": "#8a8f98",
    "Pending": "#b0b5bd",
    "Downloading": "#4e9af1",
    "Training": "#2fa84f",
    "Interrupted": "#e5484d",
    "Restarting": "#e58f24",
    "Updating": "#c9a227",
    "Uploading": "#7d6bf0",
    "Stopping": "#d1824a",
}
"""By secondary status."""

OTHER_STEP = "#5a9ea8"


def color_of(step: str) -> str:
    """Return the color of a secondary status, known or not."""
    return STEPS.get(step, OTHER_STEP)
