"""The files of deploy/samples: what each says about its end, and whether an object has ended so.

No cluster and no output here; applying them is __main__.py's matter, in tests tests/e2e's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parents[2] / "deploy" / "samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file, read by its annotations `samples/…`."""

    file: Path
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def job_name(self) -> str:
        return str(self.body["spec"]["trainingJobName"])

    @property
    def ends_as(self) -> str:
        """The job's last trainingJobStatus."""
        return self._annotations["samples/ends-as"]

    @property
    def deleted_in(self) -> str | None:
        """The secondary status in which whoever tries the sample deletes it; None: it ends by itself."""
        return self._annotations.get("samples/deleted-in")

    @property
    def failure_reason(self) -> str | None:
        return self._annotations.get("samples/failure-reason")

    @property
    def savings_percent(self) -> int | None:
        """What training on spot capacity saves."""
        percent = self._annotations.get("samples/savings-percent")
        return None if percent is None else int(percent)

    @property
    def _annotations(self) -> Mapping[str, str]:
        annotations: Mapping[str, str] = self.body["metadata"]["annotations"]
        return annotations

    def find_difference(self, status: Mapping[str, Any]) -> str | None:
        """In what the `.status` of an ended object is not as the file says; None when it is."""
        for field, value in {"trainingJobStatus": self.ends_as, "failureReason": self.failure_reason}.items():
            if value is not None and status.get(field) != value:
                return f"{field} is {status.get(field)!r} and not {value!r}"
        if self.savings_percent is not None:
            saved = status.get("managedSpotTrainingSavings", 0)
            coarse = 100 / max(1, status.get("trainingTimeInSeconds", 0))  # the percent follows from whole seconds
            if abs(saved - self.savings_percent) > coarse:
                return f"{saved} % are saved and not {self.savings_percent} %"
        return None


def read_samples() -> list[Sample]:
    """All of them, by file name."""
    return [Sample(file, yaml.safe_load(file.read_text())) for file in sorted(FOLDER.glob("*.yaml"))]


def is_finished(status: Mapping[str, Any]) -> bool:
    """Whether the object says that its job has ended, however it did."""
    conditions = status.get("conditions") or []
    return any(condition["type"] == "Finished" and condition["status"] == "True" for condition in conditions)
