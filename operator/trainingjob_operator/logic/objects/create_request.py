"""Request of CreateTrainingJob for one object."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainingjob_operator.logic.naming import Identity, Owner, compose_tags, expand_tag_format
from trainingjob_operator.logic.objects import fields
from trainingjob_operator.logic.objects.resource import Resource


def build_request(resource: Resource, identity: Identity, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the members of the request. Raises InvalidSpec for a spec without a valid request."""
    return {**fields.to_request(resource.spec), "TrainingJobName": identity.job_name, "Tags": tags}


def build_tags(
    resource: Resource, owner: Owner, defaults: Mapping[str, str], version: str
) -> Sequence[Mapping[str, str]]:
    """Return the tags of a new job; `defaults` are values by key, with ACK's formats such as `%K8S_NAMESPACE%`."""
    substitutions = {
        "CONTROLLER_SERVICE": "sagemaker",
        "CONTROLLER_VERSION": version,
        "K8S_NAMESPACE": resource.namespace,
        "K8S_RESOURCE_NAME": resource.name,
        "K8S_RESOURCE_KIND": "TrainingJob",
        "MANAGED_BY": resource.labels.get("app.kubernetes.io/managed-by", ""),
        "KRO_VERSION": resource.labels.get("kro.run/kro-version", ""),
    }
    expanded = {key: expand_tag_format(value, substitutions) for key, value in defaults.items()}
    return compose_tags(resource.user_tags(), expanded, owner)
