"""The request of CreateTrainingJob."""

from __future__ import annotations

import pytest

from tests.logic.builders import JOB, OWNER, SPEC, WANTED, resource
from trainingjob_operator.logic.objects.create_request import build_request, build_tags
from trainingjob_operator.logic.objects.fields import InvalidSpec


def test_the_request_has_the_members_of_the_spec_and_the_operators_name_and_tags() -> None:
    tags = [{"Key": "team", "Value": "a"}]
    request = build_request(resource(spec={**SPEC, "trainingJobName": "other", "tags": []}), WANTED, tags)
    assert request["RoleArn"] == SPEC["roleARN"]
    assert (request["TrainingJobName"], request["Tags"]) == (JOB, tags)


def test_a_spec_with_wrong_types_has_no_request() -> None:
    with pytest.raises(InvalidSpec):
        build_request(resource(spec={**SPEC, "roleARN": 7}), WANTED, [])


def test_default_tags_are_expanded_from_object_and_operator() -> None:
    version = "%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%"
    defaults = {"version": version, "kind": "%K8S_RESOURCE_KIND%", "kro": "%KRO_VERSION%"}
    tags = {tag["Key"]: tag["Value"] for tag in build_tags(resource(), OWNER, defaults, "0.1.0")}
    assert tags == {"version": "sagemaker-0.1.0", "kind": "TrainingJob", **OWNER.tags()}, "an empty value sets no tag"
