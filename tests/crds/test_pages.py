"""A real API server accepts every YAML of the documentation and of deploy/samples and rejects unknown fields."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from tests.crds.installation import REPOSITORY
from tests.e2e.objects import training_job
from trainingjob_operator.logic.decide.accounts import ACCOUNT_MAP, find_role

if TYPE_CHECKING:
    from tests.controlplane.fixtures import Kubectl

Body = dict[str, Any]
OWN_TESTS = {
    "accounts-0": "tests/e2e/test_accounts.py",
    "accounts-1": "test_the_account_map_of_the_page_names_the_role_of_this_service",
    "policies-0": "tests/deploy/test_policies.py",
}
"""Blocks of other kinds, or that need a policy, with the place of their test."""
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read_blocks() -> dict[str, Body]:
    """The YAML blocks of all pages, by page and position."""
    found: dict[str, Body] = {}
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]:
        for number, text in enumerate(FENCE.findall(page.read_text())):
            found[f"{page.stem}-{number}".lower()] = yaml.safe_load(text)
    return found


def complete(name: str, block: Body) -> Body:
    """Return the TrainingJob of a block: a complete one, one in a workflow, or a completed part."""
    if block.get("kind") == "Workflow":
        [template] = block["spec"]["templates"]
        body: Body = yaml.safe_load(template["resource"]["manifest"].replace("{{workflow.uid}}", "0123abcd"))
        return body
    if "kind" in block:
        assert block["kind"] == "TrainingJob", f"{name}: a block of another kind needs its own test"
        return block
    assert block.keys() <= {"metadata", "spec"}, name
    whole = training_job(name)
    return {
        **whole,
        "metadata": {**whole["metadata"], **block.get("metadata", {})},
        "spec": {**whole["spec"], **block.get("spec", {})},
    }


def test_every_yaml_of_pages_and_samples_is_accepted(crd: None, kubectl: Kubectl) -> None:
    samples = {file.stem: yaml.safe_load(file.read_text()) for file in REPOSITORY.glob("deploy/samples/**/*.yaml")}
    assert OWN_TESTS.keys() <= read_blocks().keys()
    blocks = {name: each for name, each in read_blocks().items() if "status" not in each and name not in OWN_TESTS}
    bodies = [complete(name, block) for name, block in (samples | blocks).items()]
    assert len(bodies) > 25
    request = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    answer = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=request)
    assert answer.count("created (server dry run)") == len(bodies)


def test_the_account_map_of_the_page_names_the_role_of_this_service() -> None:
    page = read_blocks()["accounts-1"]
    assert page["metadata"]["name"] == ACCOUNT_MAP
    assert find_role("444455556666", page["data"]) == "arn:aws:iam::444455556666:role/sagemaker"


def test_every_status_of_the_pages_is_one_of_the_operator(crd: None, kubectl: Kubectl) -> None:
    blocks = {name: block for name, block in read_blocks().items() if "status" in block}
    assert blocks
    kubectl("create", "-f", "-", input=json.dumps(training_job("shown")))
    for block in blocks.values():
        status = block["status"]
        required = {"ownerAccountID": "123456789012", "region": "us-east-1"}  # optional in a shortened block
        if "ackResourceMetadata" in status:
            status["ackResourceMetadata"] = required | status["ackResourceMetadata"]
        shown = {**training_job("shown"), "status": status}
        arguments = (
            "--server-side",
            "--force-conflicts",
            "--subresource=status",
            "--validate=strict",
            "--dry-run=server",
        )
        kubectl("apply", *arguments, "-f", "-", input=json.dumps(shown))
