"""Values that the loops of one process share, and the identity of the operator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainingjob_operator.clocks import Clocks
from trainingjob_operator.leadership import Leadership
from trainingjob_operator.logic.objects.annotations import Defaults
from trainingjob_operator.logic.objects.resource import Key
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.object_store import ObjectStore
from trainingjob_operator.work_queue import WorkQueue


@dataclass(frozen=True, slots=True)
class Runtime:
    """The objects of the cluster, the keys to reconcile, and what every loop needs."""

    jobs: ObjectStore
    queue: WorkQueue[Key]
    leadership: Leadership
    metrics: Metrics
    clocks: Clocks


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """Identity and settings of the operator, equal for all objects."""

    defaults: Defaults
    partition: str
    cluster_id: str
    default_tags: Mapping[str, str]
    version: str
    external_id: str | None = None
    overrides_passive: bool = False
    knows_region: Callable[[str], bool] = lambda _: True
    """True if AWS's published data list SageMaker in that region; they lack new regions."""
