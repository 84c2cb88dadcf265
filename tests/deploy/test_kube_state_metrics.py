"""The CustomResourceState file against the CRD's schema and recorded statuses.

kube-state-metrics itself cannot be installed here: `evaluate` follows its documentation for the few forms that the file
uses, and no others.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from trainingjob_operator.metrics import FINAL_OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
[RESOURCE] = yaml.safe_load((ROOT / "deploy/kube-state-metrics/custom-resource-state.yaml").read_text())["spec"][
    "resources"
]
CRD = yaml.safe_load((ROOT / "crds/sagemaker.services.k8s.aws_trainingjobs.yaml").read_text())
[VERSION] = CRD["spec"]["versions"]
GOLDEN = sorted((ROOT / "tests/data/golden").glob("*/status.yaml"))
METADATA = {"namespace": "string", "name": "string", "creationTimestamp": "string"}

Sample = tuple[dict[str, str], float]


def find_type(path: Sequence[str]) -> str:
    """Type of a field in the schema; KeyError for a missing field."""
    if path[0] == "metadata":
        return METADATA[path[1]] if len(path) > 1 else "object"
    schema = VERSION["schema"]["openAPIV3Schema"]
    for name in path:
        schema = (schema["items"] if schema["type"] == "array" else schema)["properties"][name]
    found: str = schema["type"]
    return found


def get(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def read_number(value: Any) -> float:
    """A number, a time as Unix seconds, or the status of a condition."""
    if isinstance(value, int | float):
        return float(value)
    known = {"true": 1.0, "false": 0.0, "unknown": 0.0}.get(value.lower())
    return datetime.fromisoformat(value).timestamp() // 1 if known is None else known


def evaluate(metric: dict[str, Any], body: dict[str, Any]) -> Iterator[Sample]:
    """The samples of one metric of an object, without the labels of the resource."""
    [(form, options)] = [(form, options) for form, options in metric["each"].items() if form != "type"]
    found = get(body, options["path"])
    if found is None:
        return
    if form == "stateSet":
        yield from (({options["labelName"]: state}, float(state == found)) for state in options["list"])
        return
    for item in found if isinstance(found, list) else [found]:
        labels = {name: get(item, path) for name, path in options.get("labelsFromPath", {}).items()}
        shown = {name: str(value) for name, value in labels.items() if value is not None}
        if form == "info" and shown:
            yield shown, 1.0
        elif form == "gauge" and (value := get(item, options["valueFrom"])) is not None:
            yield shown, read_number(value)


def test_the_file_names_the_kind_of_the_crd() -> None:
    kind = RESOURCE["groupVersionKind"]
    assert kind == {"group": CRD["spec"]["group"], "version": VERSION["name"], "kind": CRD["spec"]["names"]["kind"]}


@pytest.mark.parametrize("metric", RESOURCE["metrics"], ids=lambda metric: metric["name"])
def test_each_metric_reads_an_existing_field(metric: dict[str, Any]) -> None:
    each = dict(metric["each"])
    form = each.pop("type")
    [(name, options)] = each.items()
    assert name == form[0].lower() + form[1:]
    assert metric["help"].endswith(".")
    path = options["path"]
    for label in options.get("labelsFromPath", {}).values():
        assert find_type([*path, *label]) == "string"
    if form == "Gauge":
        assert find_type([*path, *options["valueFrom"]]) in {"integer", "string"}
    elif form == "StateSet":
        assert find_type(path) == "string"
    for label in RESOURCE["labelsFromPath"].values():
        assert find_type(label) == "string"


def test_the_outcomes_are_those_of_the_operator() -> None:
    [outcome] = [metric for metric in RESOURCE["metrics"] if metric["name"] == "outcome"]
    assert set(outcome["each"]["stateSet"]["list"]) == set(FINAL_OUTCOMES)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.parent.name)
def test_recorded_objects_have_samples_with_their_values(file: Path) -> None:
    status = yaml.safe_load(file.read_text())
    body = {"metadata": {"name": "a", "namespace": "b", "creationTimestamp": "2026-11-21T12:00:00Z"}, "status": status}
    samples = {metric["name"]: list(evaluate(metric, body)) for metric in RESOURCE["metrics"]}
    assert len({metric["name"] for metric in RESOURCE["metrics"]}) == len(RESOURCE["metrics"])
    [(info, _)] = samples["info"] or [({}, 1.0)]
    assert info.get("arn") == status.get("ackResourceMetadata", {}).get("arn")
    assert {labels["status"]: value for labels, value in samples["status"]}.get(
        status.get("trainingJobStatus"), 1
    ) == 1, "a status unknown to the file has no 1"
    conditions = {labels["type"]: value for labels, value in samples["status_condition"]}
    assert conditions == {one["type"]: float(one["status"] == "True") for one in status["conditions"]}
    shown = [value for _, value in samples["billable_instance_seconds"]]
    assert shown == ([status["billableInstanceSeconds"]] if "billableInstanceSeconds" in status else [])
    assert sum(value for _, value in samples["outcome"]) == float("outcome" in status)
    assert samples["created"] == [({}, 1795262400.0)]
    assert all(all(labels.values()) for some in samples.values() for labels, _ in some)
