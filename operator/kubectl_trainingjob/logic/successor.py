"""A new object that runs the spec of another one again, under another name."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from typing import Any

from kubectl_trainingjob.logic.redaction import LAST_APPLIED
from trainingjob_operator.logic.naming import CREATE_PENDING, JOB_ARN, MAX_JOB_NAME
from trainingjob_operator.logic.objects.annotations import (
    ADOPT_FROM_CLUSTER,
    ADOPTED,
    ADOPTION_FIELDS,
    ADOPTION_POLICY,
    READ_ONLY,
    RECONCILE_REQUESTS,
)

OF_THE_JOB = frozenset(
    {CREATE_PENDING, JOB_ARN, ADOPTED, ADOPTION_FIELDS, ADOPTION_POLICY, ADOPT_FROM_CLUSTER, READ_ONLY, LAST_APPLIED}
) | set(RECONCILE_REQUESTS)
"""Annotations about the job of the first object."""

OF_AN_OWNER = (
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "applyset.kubernetes.io/",
    "config.k8s.io/owning-inventory",
)
"""Prefixes of labels and annotations by which a tool finds its objects: it would prune the new one."""

_NUMBERED = re.compile(r"(?P<base>.+)-r(?P<number>[1-9]\d*)")


def propose_name(name: str, taken: Collection[str]) -> str:
    """Return the next free name in the row x, x-r2, x-r3 …; names differ in more than upper and lower case."""
    numbered = _NUMBERED.fullmatch(name)
    base, number = (numbered["base"], int(numbered["number"])) if numbered else (name, 1)
    used = {each.lower() for each in taken}
    while True:
        number += 1
        suffix = f"-r{number}"
        proposal = base[: MAX_JOB_NAME - len(suffix)].rstrip("-.") + suffix
        if proposal.lower() not in used:
            return proposal


def make_successor(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object to create: the same spec, labels and policies, another name, and no trace of the first job.

    A spec without the name of a job gets none: the name of the object serves.
    """
    metadata = body.get("metadata", {})
    kept = {
        field: values
        for field, values in (
            ("labels", _without(metadata.get("labels"), frozenset())),
            ("annotations", _without(metadata.get("annotations"), OF_THE_JOB)),
        )
        if values
    }
    spec = copy.deepcopy(dict(body.get("spec", {})))
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {"name": name, "namespace": metadata["namespace"], **kept},
        "spec": {**spec, "trainingJobName": name} if "trainingJobName" in spec else spec,
    }


def _without(values: object, dropped: Collection[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        return {}
    return {key: value for key, value in values.items() if key not in dropped and not key.startswith(OF_AN_OWNER)}
