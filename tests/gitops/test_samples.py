"""The samples for GitOps tools: valid, and the nightly training has one job a day."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from tests.controlplane.plane import KUBECTL
from tests.gitops.lua import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

NIGHTLY = REPOSITORY / "deploy/argocd/nightly.yaml"
DAYS = ("20261128", "20261129", "20261128")
SAMPLE = REPOSITORY / "deploy/samples/completed.yaml"


def render(day: str) -> dict[str, Any]:
    """The Application that Argo CD renders from the template for a folder on a day."""
    template = yaml.safe_load(NIGHTLY.read_text())["spec"]["template"]
    values = {".path.basename": "churn", ".path.path": "trainings/churn", 'now | date "20060102"': day}

    def expand(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: expand(item) for key, item in value.items()}
        if isinstance(value, list):
            return [expand(item) for item in value]
        if isinstance(value, str):
            return re.sub(r"\{\{ (.*?) \}\}", lambda match: values[match[1]], value)
        return value

    application: dict[str, Any] = expand(template)
    return application


def build(application: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The TrainingJob of the Application, rendered by kustomize."""
    folder.mkdir()
    (folder / "job.yaml").write_text(SAMPLE.read_text())
    settings = {"resources": ["job.yaml"], **application["spec"]["source"]["kustomize"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(settings))
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    job: dict[str, Any] = yaml.safe_load(done.stdout)
    return job


def test_the_nightly_training_has_one_job_a_day(tmp_path: Path) -> None:
    first, second, again = (build(render(day), tmp_path / f"{day}-{n}") for n, day in enumerate(DAYS))
    assert first["metadata"]["name"] == "churn-completed-20261128"
    assert second["metadata"]["name"] == "churn-completed-20261129"
    assert again == first
    for job in (first, second):
        assert "trainingJobName" not in job["spec"]
    assert first["spec"] == second["spec"]
    assert render("20261128")["metadata"]["name"] == "churn-20261128"
