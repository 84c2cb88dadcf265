"""The stand-in against SageMaker's own shapes."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from tests.sagemaker.samples import full
from tests.sagemaker.server import OPERATIONS
from tests.sagemaker.shapes import WrongTypeError, model_shapes
from tests.sagemaker.timeline import MESSAGES, PRIMARY


def shape(name: str) -> Any:
    return botocore.session.get_session().get_service_model("sagemaker").shape_for(name)


def test_every_status_is_in_the_model() -> None:
    assert MESSAGES.keys() - {"Deleting"} <= set(shape("SecondaryStatus").enum)
    assert set(PRIMARY.values()) | {"InProgress"} == set(shape("TrainingJobStatus").enum)


def test_the_full_sample_has_every_compatible_member() -> None:
    members = set(shape("CreateTrainingJobRequest").members)
    assert members - full("job").keys() == {"ServerlessJobConfig"}
    assert model_shapes().request_problems("CreateTrainingJob", full("job")) == []


def test_every_operation_for_training_jobs_exists() -> None:
    names = set(botocore.session.get_session().get_service_model("sagemaker").operation_names)
    about_jobs = {name for name in names if name.endswith(("TrainingJob", "TrainingJobs"))}
    assert {name for name in about_jobs if "HyperParameter" not in name} <= OPERATIONS <= names


@pytest.mark.parametrize(
    "answer",
    [
        {"TrainingJobArn": 7},
        {"TrainingJobArn": "arn", "Unknown": 1},
        {},
    ],
)
def test_an_answer_outside_its_shape_is_reported(answer: dict[str, Any]) -> None:
    assert model_shapes().answer_problems("CreateTrainingJob", answer) != []


@pytest.mark.parametrize(
    "members",
    [
        {"HyperParameters": {"key": 7}},
        {"Tags": {"key": "value"}},
        {"EnableNetworkIsolation": "true"},
        {"ResourceConfig": {"InstanceCount": 1.5}},
        {"ResourceConfig": {"InstanceCount": True}},
        {"StoppingCondition": []},
    ],
)
def test_a_value_of_another_type_is_reported(members: dict[str, Any]) -> None:
    with pytest.raises(WrongTypeError):
        model_shapes().request_problems("CreateTrainingJob", full("job") | members)
