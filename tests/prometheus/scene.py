"""Jobs of two teams in every situation that rules and dashboard show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.objects import Jobs, training_job

if TYPE_CHECKING:
    from tests.controlplane.plane import Cluster
    from tests.sagemaker.stand_in import Control

TEAMS = ("team-vision", "team-nlp")
SPOT: dict[str, Any] = {
    "enableManagedSpotTraining": True,
    "stoppingCondition": {"maxRuntimeInSeconds": 3600, "maxWaitTimeInSeconds": 7200},
    "checkpointConfig": {"s3URI": "s3://bucket/checkpoints"},
}
GROUPS = {
    "volumeSizeInGB": 5,
    "instanceGroups": [
        {"instanceGroupName": "data", "instanceType": "ml.c5.xlarge", "instanceCount": 2},
        {"instanceGroupName": "train", "instanceType": "ml.p4d.24xlarge", "instanceCount": 1},
    ],
}
FOUR = {"instanceType": "ml.m5.large", "instanceCount": 4, "volumeSizeInGB": 5}
QUOTA = "ml.p5.48xlarge for training job usage"
RARE = {"instanceType": "ml.p5.48xlarge", "instanceCount": 1, "volumeSizeInGB": 5}
PHASES = "Starting:2,Downloading:2,Training:6,Uploading:1"


def prepare(cluster: Cluster, sagemaker: Control, pace: float = 1.0) -> tuple[Jobs, Jobs]:
    """Apply the objects; phases last `pace` times as long as in PHASES."""
    teams = Jobs(cluster, TEAMS[0]), Jobs(cluster, TEAMS[1])
    sagemaker.settings(quotas={QUOTA: 1})
    lives = [phase.split(":") for phase in PHASES.split(",")]
    phases = ",".join(f"{name}:{float(seconds) * pace}" for name, seconds in lives)
    sagemaker.plan("*", phases=f"{phases},Completed")
    sagemaker.plan("broken", phases=f"Starting:{pace},Training:{3 * pace},Failed")
    sagemaker.plan("rare*", phases="Starting:1,Training:36000,Completed")
    for team in teams:
        team.cluster.kubectl("create", "namespace", team.namespace)
    vision, nlp = teams
    vision.apply(
        training_job("distributed", resourceConfig=FOUR, **SPOT),
        training_job("groups", resourceConfig=GROUPS),
        training_job("broken"),
    )
    nlp.apply(
        training_job("small"),
        training_job("rare", resourceConfig=RARE),
        training_job("rare-too", resourceConfig=RARE),
    )
    return teams


def prepare_more(teams: tuple[Jobs, Jobs], number: int) -> None:
    """Apply further objects that live like the first ones."""
    vision, nlp = teams
    spot = [training_job(f"distributed-{number}-{each}", resourceConfig=FOUR, **SPOT) for each in range(number % 3 + 1)]
    vision.apply(*spot, training_job(f"groups-{number}", resourceConfig=GROUPS))
    nlp.apply(*(training_job(f"small-{number}-{each}") for each in range(3)))


def is_over(teams: tuple[Jobs, Jobs]) -> bool:
    """Whether all jobs but those of the small quota have ended, and the billable time of spot is known."""
    vision, nlp = teams
    ended = [team.status(name) for team, name in ((vision, "groups"), (vision, "distributed"), (nlp, "small"))]
    return all("billableInstanceSeconds" in status for status in ended) and "outcome" in vision.status("broken")
