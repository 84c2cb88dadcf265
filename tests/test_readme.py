"""The README's references are those of the code: flags, metrics, status, conditions and annotations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from trainingjob_operator import settings
from trainingjob_operator.cli import build_parser
from trainingjob_operator.logic import annotations as keys
from trainingjob_operator.logic import conditions, decision, naming
from trainingjob_operator.metrics import Metrics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CRD = ROOT / "crds/sagemaker.services.k8s.aws_trainingjobs.yaml"


def rows(first: str) -> list[list[str]]:
    """The cells of each row of a table whose first cell begins so, without back-ticks."""
    found = [line for line in README.splitlines() if line.startswith(f"| `{first}")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in found]


def constants(module: object, name: str) -> set[str]:
    """The texts of a module's constants whose name matches."""
    return {text for key, text in vars(module).items() if re.fullmatch(name, key) and isinstance(text, str)}


def test_the_flags_are_those_of_help_with_their_words_variables_and_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        build_parser().parse_args(["run", "--help"])
    help_text = capsys.readouterr().out
    told = set()
    for flags, variables, default, words in rows("--"):
        told |= set(flags.split(", "))
        named = " or ".join(f"${variable}" for variable in variables.split(", "))
        facts = {"": "", "required": ", required"}.get(default, f", default {default}")
        assert f"{words} [{named}{facts}]" in help_text
    assert told == set(re.findall(r"(?<!\S)--[a-z-]+", help_text)) - {"--help"}


def test_every_variable_is_told() -> None:
    assert {row[1] for row in rows("--")} == {", ".join(flag.variables) for flag in settings.FLAGS}


def test_the_status_fields_are_those_of_the_crd() -> None:
    root = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    section = README.partition("\n## Status\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(root["properties"]["status"]["properties"])


def test_every_condition_and_reason_is_explained() -> None:
    section = README.partition("\n## Conditions\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([\w.]+)`", section))
    reasons = constants(conditions, "PENDING|WAITING|CREATED|DELETING|JOB_.*|MAX_.*_EXCEEDED|RULES_RUNNING")
    reasons |= {text for text in constants(decision, "[A-Z_]+") if re.fullmatch(r"([A-Z][a-z]+)+", text)}
    operations = {"CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob"}
    operations |= {"ListTags", "AddTags", "DeleteTags"}
    assert {*conditions.TYPES, *reasons} - operations <= told


def test_every_annotation_is_explained() -> None:
    section = README.partition("\n## Annotations\n")[2].partition("\n## ")[0]
    known = {text for text in constants(keys, "[A-Z_]+") if "services.k8s.aws/" in text and text[-1] != "/"}
    known |= {*keys.RECONCILE_REQUESTS, naming.CREATE_PENDING, naming.JOB_ARN}
    known -= {keys.TEAM}  # refused: told with what is not here
    missing = {key for key in known if f"`{key}`" not in section}
    assert not missing


def test_the_metrics_are_those_that_are_served_with_their_kinds_and_words() -> None:
    registry = CollectorRegistry()
    Metrics(registry, "0", lambda: 0.0)
    served = {
        (f"{metric.name}_total" if metric.type == "counter" else metric.name, metric.type, metric.documentation)
        for metric in registry.collect()
        if metric.name.startswith(("ack_", "trainingjob_"))
    }
    told = [*rows("ack_outbound"), *rows("trainingjob_")]
    assert {(name.partition("{")[0], kind, words) for name, kind, words in told} == served
