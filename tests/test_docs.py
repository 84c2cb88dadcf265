"""The tables of docs/ match the code; links and `make` targets exist, and the README is short."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.e2e.pages import Example, read_examples
from trainingjob_operator import settings
from trainingjob_operator.logic import naming, reasons
from trainingjob_operator.logic.jobs import errors
from trainingjob_operator.logic.objects import annotations as keys
from trainingjob_operator.logic.objects.validation import find_problem
from trainingjob_operator.logic.status import conditions
from trainingjob_operator.metrics import Metrics
from website.pages import PAGES_OF_ROOT, move_links, site_path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])
CRD = ROOT / "crds/sagemaker.services.k8s.aws_trainingjobs.yaml"
REASON = r"([A-Z][a-z]+)+"


def rows(page: str, section: str = "") -> list[list[str]]:
    """Cells of each table row of a page or of one of its sections, without back-ticks and header rows."""
    text = (ROOT / page).read_text()
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in lines]


def names(page: str, section: str = "") -> list[str]:
    return [row[0] for row in rows(page, section)]


def constants(module: object, pattern: str) -> set[str]:
    """Values of a module's public constants that match."""
    texts = {text for key, text in vars(module).items() if key.isupper() and key[0] != "_" and isinstance(text, str)}
    return {text for text in texts if re.fullmatch(pattern, text)}


OF_EVENTS = {reasons.COMPLETED_EVENT, reasons.STOPPED_EVENT}
STATUSES = {"Completed", "Deleting", "MaxRuntimeExceeded", "MaxWaitTimeExceeded", "Pending", "Stopped", "Unknown"}
"""Reasons equal to statuses of SageMaker or of a condition."""


def reasons_of_code() -> set[str]:
    """Every reason of a condition, except for codes of AWS and secondary statuses."""
    return (constants(reasons, REASON) | set(conditions.FAILURES.values())) - OF_EVENTS


def test_status_fields_are_those_of_the_crd() -> None:
    root = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert names("docs/reference.md", "Status") == list(root["properties"]["status"]["properties"])


def test_condition_types_are_listed_in_order() -> None:
    assert names("docs/reference.md", "Conditions") == list(conditions.TYPES)


def test_reasons_and_rows_match() -> None:
    documented = names("docs/reference.md", "Reasons")
    for section in ("The operator stopped trying", "The operator retries"):
        documented += names("docs/troubleshooting.md", section)
    documented += names("docs/troubleshooting.md", "The job continues, and something needs attention")
    assert len(documented) == len(set(documented))
    codes = {reason for reason in documented if reason in errors._CODES and reason not in reasons_of_code()}
    assert set(documented) - codes == reasons_of_code()


def test_reasons_of_events_have_a_row() -> None:
    documented = set(names("docs/reference.md", "Events")) | set(names("docs/reference.md", "Reasons"))
    assert OF_EVENTS | {reasons.CREATED, reasons.ADOPTED} <= documented


def test_no_other_module_spells_a_reason() -> None:
    texts = "|".join(sorted(reasons_of_code() - {*STATUSES, *conditions.FAILURES}))
    for path in Path(reasons.__file__).parent.parent.rglob("*.py"):
        if path.name not in {"reasons.py", "ownership.py"}:  # state/ownership.py has claims of the same names
            assert not re.findall(f'"(?:{texts})"', path.read_text()), path


MOVING = "docs/moving-from-ack.md"
GROUPS_WITHOUT_JOB = ("The operator makes no further attempt until an edit.", "The operator retries.")
GROUPS_WITH_JOB = (
    "Ends of a job. The class of a failure outside the algorithm is a reason, too (failure_reason.py).",
    "The job continues.",
    "Of Events only.",
)


def reasons_without_job() -> set[str]:
    """Reasons of objects for which ACK would create a job, by the groups of reasons.py; add new groups here."""
    groups: dict[str, set[str]] = {}
    for line in Path(reasons.__file__).read_text().splitlines():
        if line.startswith("# "):
            group = groups.setdefault(line.removeprefix("# "), set())
        elif match := re.match(r'[A-Z_]+ = "(.*)"', line):
            group.add(match[1])
    progress = groups.pop("Progress of an object.")
    assert set(groups) == {*GROUPS_WITHOUT_JOB, *GROUPS_WITH_JOB}
    found = set().union(*(groups[group] for group in GROUPS_WITHOUT_JOB))
    found -= {reasons.FINALIZER_NOT_REMOVED}  # the job has ended or is stopping
    return found | (progress & {reasons.PENDING, reasons.WAITING}) | {reasons.JOB_NOT_FOUND}


def test_the_page_about_moving_back_names_every_reason_of_an_object_without_a_job() -> None:
    table = (ROOT / MOVING).read_text().partition("| reason of an object without a job |")[2].partition("\n\n")[0]
    documented = [
        name for line in table.splitlines() for name in re.findall(f"`({REASON})`", line.rpartition(" | ")[0])
    ]
    documented_names = [name for name, _ in documented]
    assert (len(documented_names), set(documented_names)) == (len(reasons_without_job()), reasons_without_job())


VALUES_OF_ACK = (
    "image.repository", "image.tag", "image.pullPolicy", "image.pullSecrets", "nameOverride", "fullnameOverride",
    "deployment.annotations", "deployment.labels", "deployment.containerPort", "deployment.replicas",
    "deployment.nodeSelector", "deployment.tolerations", "deployment.affinity", "deployment.priorityClassName",
    "deployment.hostNetwork", "deployment.dnsPolicy", "deployment.strategy", "deployment.extraVolumes",
    "deployment.extraVolumeMounts", "deployment.extraEnvVars", "role.labels", "metrics.service.create",
    "metrics.service.type", "resources", "aws.region", "aws.endpoint_url", "aws.identity_endpoint_url",
    "aws.allow_unsafe_aws_endpoint_urls", "aws.credentials.secretName", "aws.credentials.secretKey",
    "aws.credentials.profile", "log.enable_development_logging", "log.level", "installScope", "watchNamespace",
    "watchSelectors", "resourceTags", "deletionPolicy", "reconcile.defaultResyncPeriod",
    "reconcile.resourceResyncPeriods", "reconcile.defaultMaxConcurrentSyncs", "reconcile.resourceMaxConcurrentSyncs",
    "reconcile.resources", "serviceAccount.create", "serviceAccount.name", "serviceAccount.annotations",
    "leaderElection.enabled", "leaderElection.namespace", "enableCARM", "enableCrossNamespace", "featureGates",
)  # fmt: skip
"""Values of ACK's chart 1.9.1."""


def test_every_value_of_acks_chart_has_one_row_and_exists_in_this_chart() -> None:
    table = (ROOT / MOVING).read_text().partition("| value of ACK's chart |")[2].partition("\n\n")[0]
    documented = [name for line in table.splitlines() for name in re.findall("`([^`]+)`", line.split(" | ")[0])]
    for value in VALUES_OF_ACK:
        rows_of_value = [name for name in documented if name == value or fnmatch.fnmatch(value, name)]
        assert rows_of_value, value
        found = yaml.safe_load((ROOT / "deploy/chart/values.yaml").read_text())
        for key in value.split("."):
            assert key in found, value
            found = found[key]
    unused = [name for name in documented if not any(fnmatch.fnmatch(value, name) for value in VALUES_OF_ACK)]
    assert unused == []


def test_annotations_match_the_code() -> None:
    known = constants(keys, r".*services\.k8s\.aws/.+")
    known |= {*keys.RECONCILE_REQUESTS, naming.CREATE_PENDING, naming.JOB_ARN}
    documented = names("docs/reference.md", "Annotations")
    assert (len(documented), set(documented)) == (len(known), known)


def test_flags_have_variables_and_defaults() -> None:
    documented = [tuple(row[:3]) for row in rows("docs/reference.md", "Flags")]
    known = []
    for flag in settings.FLAGS:
        is_required = flag.field == "aws_region"
        default = "required" if is_required else settings.show(flag.default)
        known.append((", ".join((flag.name, *flag.aliases)), ", ".join(flag.variables), default))
    assert documented == known


def test_metrics_have_types_and_labels() -> None:
    registry = CollectorRegistry()
    Metrics(registry, "0", lambda: 0.0)
    kinds = {metric.name: metric.type for metric in registry.collect()}
    known = set()
    for name, collector in registry._names_to_collectors.items():
        if name.startswith(("ack_", "trainingjob_")) and name in kinds:
            shown = f"{name}_total" if kinds[name] == "counter" else name
            labels = ",".join(getattr(collector, "_labelnames", ()))
            known.add((f"{shown}{{{labels}}}" if labels else shown, kinds[name]))
    documented = [(row[0], row[1]) for row in rows("docs/reference.md", "Metrics")]
    assert (len(documented), set(documented)) == (len(known), known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_have_an_existing_target(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in headings(target)):
            broken.append(link)
    assert not broken


def headings(page: Path) -> set[str]:
    """Anchors of a page by GitHub's rules."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_of_docs_is_in_the_navigation_of_the_site() -> None:
    """`make site` also builds pages outside the navigation of mkdocs.yml, but without a link."""
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    pages = re.findall(r"^ *- (?:[^:]*: )?([\w/-]+\.md)$", navigation, re.MULTILINE)
    files = [*PAGES_OF_ROOT, *(file.relative_to(ROOT).as_posix() for file in ROOT.glob("docs/**/*.md"))]
    assert sorted(pages) == sorted(site_path(file) for file in files)


def test_links_are_moved_to_the_paths_of_the_site() -> None:
    text = "[a](docs/install.md#metrics) [b](CHANGELOG.md) [c](https://example.com/docs/x.md) [d](#here)"
    moved = "[a](install.md#metrics) [b](changelog.md) [c](https://example.com/docs/x.md) [d](#here)"
    assert move_links(text, "README.md") == moved
    text = "[a](../../deploy/samples/spot.yaml) [b](../install.md) [c](../../README.md) [d](pure-decide.md)"
    moved = "[a](../deploy/samples/spot.yaml) [b](../install.md) [c](../index.md) [d](pure-decide.md)"
    assert move_links(text, "docs/decisions/one.md") == moved


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^ {4,})make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


def test_each_threat_names_an_existing_test() -> None:
    text = (ROOT / "docs/security.md").read_text()
    threats = text.partition("\n## Threats\n")[2].partition("\n## ")[0]
    lines = [line for line in threats.splitlines() if line.startswith("| ") and not line.startswith("| threat |")]
    assert len(lines) > 25
    for line in lines:
        _, threat, *others, tests, _ = line.split("|")
        assert len(others) == 2
        assert all(cell.strip() for cell in others), threat
        assert "::" in tests, threat
    for path, name in re.findall(r"\b(tests/[\w/]+\.py)(?:::(\w+))?", text):
        assert not name or re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            f"{path} {name}"
        )


def is_part(part: object, whole: object) -> bool:
    """Compare mappings by the keys of the part, other values by equality."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and is_part(value, whole[key]) for key, value in part.items())
    return part == whole


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.file.stem)
def test_an_example_shows_a_part_of_its_sample_with_the_fields_of_the_table(example: Example) -> None:
    sample, shown = yaml.safe_load(example.file.read_text()), yaml.safe_load(example.excerpt)
    assert is_part(shown, sample)
    assert set(example.fields) <= shown["spec"].keys()
    assert sample["metadata"]["name"] == sample["spec"]["trainingJobName"]
    assert find_problem(sample["spec"]) is None


def test_every_sample_of_a_kind_has_a_section() -> None:
    files = [example.file for example in read_examples()]
    assert sorted(files) == sorted(ROOT.glob("deploy/samples/jobs/*.yaml"))


def test_columns_are_those_of_the_crd() -> None:
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    columns = [(each["name"], each["jsonPath"]) for each in version["additionalPrinterColumns"]]
    assert [tuple(row[:2]) for row in rows("docs/status.md", "The table")] == columns


def test_the_readme_has_at_most_900_words() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_outcomes_match_the_code_and_the_conditions_of_a_workflow_cover_them() -> None:
    outcomes = {*conditions.OUTCOMES.values(), conditions.LOST, reasons.REFUSED}
    assert set(names("docs/pipelines.md")) == outcomes
    workflow = yaml.safe_load((ROOT / "docs/pipelines.md").read_text().split("```yaml\n")[1].split("```")[0])
    [template] = workflow["spec"]["templates"]
    failures = re.fullmatch(r"status\.outcome in \((.*)\)", template["resource"]["failureCondition"])
    assert template["resource"]["successCondition"] == "status.outcome == Succeeded"
    assert failures is not None
    assert set(failures[1].split(", ")) == outcomes - {"Succeeded"}
