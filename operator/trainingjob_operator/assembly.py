"""Composition root: builds every object and supplies the real clock, environment and randomness. Nothing runs here."""

import os
import random
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

from prometheus_client import CollectorRegistry

from trainingjob_operator import building
from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.aws.credentials import READING_TIMEOUTS, Timeouts
from trainingjob_operator.aws.gateway import CallTimeouts, Gateways
from trainingjob_operator.aws.identities import CallerIdentity
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.coverage import Coverage
from trainingjob_operator.event_listener import EventListener
from trainingjob_operator.health import Readiness
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.cluster_state import ClusterState
from trainingjob_operator.kube.discovery import (
    Discovery,
    Right,
    right_to_account_map,
    right_to_cluster_id,
    rights_to_lead,
)
from trainingjob_operator.kube.events import EventRecorder
from trainingjob_operator.kube.leader import Elector
from trainingjob_operator.kube.objects import FIELD_MANAGER, TrainingJobObjects
from trainingjob_operator.leadership import AlwaysLeading, Leadership
from trainingjob_operator.logic.objects.annotations import Defaults, Deletion
from trainingjob_operator.logic.objects.resource import Key
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.object_store import ObjectStore
from trainingjob_operator.runtime import OperatorContext, Runtime
from trainingjob_operator.settings import Settings
from trainingjob_operator.start_up import FIRST_LIST
from trainingjob_operator.work_queue import WorkQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The parts of the process that exist before the API server and AWS have answered."""

    settings: Settings
    version: str
    registry: CollectorRegistry
    readiness: Readiness
    runtime: Runtime
    login: Login
    api: ApiServer
    budgets: Budgets
    cluster_state: ClusterState
    coverage: Coverage
    elector: Elector | None
    """None without leader election."""
    gateways: Gateways
    recorder: EventRecorder


def assemble(settings: Settings) -> Process:
    """Build the process of these settings."""
    version = metadata.version("trainingjob-operator")
    clocks = Clocks(_elapsed, lambda: datetime.now(UTC), random.Random())  # noqa: S311  jitter is no secret
    registry = CollectorRegistry()
    metrics, readiness = Metrics(registry, version, clocks.monotonic), Readiness(FIRST_LIST)
    login = Login(os.environ)
    api = ApiServer(login)
    jobs, queue = ObjectStore(FIELD_MANAGER), WorkQueue[Key](jitter=clocks.jitter)
    cluster_state = ClusterState(
        api,
        system_namespace=settings.system_namespace,
        changed=lambda namespace: _requeue(jobs, queue, namespace),
        clock=clocks.monotonic,
        jitter=clocks.jitter,
        follows_selectors=settings.follows_role_selectors,
    )
    coverage = Coverage(
        namespaces=settings.watch_namespace,
        beside=_rights_beside(settings),
        discovery=Discovery(api),
        exists=cluster_state.exists,
        readiness=readiness,
        metrics=metrics,
        clock=clocks.monotonic,
    )
    elector = _elector(settings, api, clocks, coverage.can_list)
    leadership: Leadership = AlwaysLeading() if elector is None else elector
    budgets = Budgets(
        clocks.monotonic,
        create_tps=settings.create_tps,
        list_tps=settings.list_tps,
        describe_tps=settings.describe_tps,
    )
    return Process(
        settings=settings,
        version=version,
        registry=registry,
        readiness=readiness,
        runtime=Runtime(jobs, queue, leadership, metrics, clocks),
        login=login,
        api=api,
        budgets=budgets,
        cluster_state=cluster_state,
        coverage=coverage,
        elector=elector,
        gateways=Gateways(
            region=settings.aws_region,
            version=version,
            budgets=budgets,
            fence=leadership.fence,
            observe=metrics.aws_call_ended,
            workers=settings.max_concurrent_reconciles,
            identity_endpoint_url=settings.aws_identity_endpoint_url or None,
            timeouts=CallTimeouts(reading=Timeouts(READING_TIMEOUTS.connect, settings.http_client_timeout)),
            clock=clocks.monotonic,
        ),
        recorder=EventRecorder(
            api,
            clock=clocks.monotonic,
            now=clocks.wall,
            jitter=clocks.jitter,
            dropped=metrics.event_dropped,
            is_busy=lambda: queue.depth > settings.max_concurrent_reconciles,
            instance=socket.gethostname(),
        ),
    )


def build_operator(process: Process, caller: CallerIdentity, cluster_id: str) -> building.Operator:
    """Build the reconciling parts, once the caller and the cluster are known."""
    outside = building.Outside(
        accounts=process.gateways,
        budgets=process.budgets,
        objects=TrainingJobObjects(process.api),
        recorder=process.recorder,
        cluster_state=process.cluster_state,
        coverage=process.coverage,
        login=process.login,
    )
    return building.build(process.runtime, _context(process, caller, cluster_id), outside, process.settings)


def build_listener(process: Process, operator: building.Operator) -> EventListener | None:
    """Build the listener of the event queue; None without the queue."""
    url = process.settings.event_queue_url
    if not url:
        return None
    return EventListener(process.runtime, events=process.gateways.event_queue(url), flow=operator.flow, url=url)


def _requeue(jobs: ObjectStore, queue: WorkQueue[Key], namespace: str | None) -> None:
    """Requeue the objects of a namespace whose annotations changed; None: all objects."""
    for tracked in jobs:
        if namespace is None or tracked.key[0] == namespace:
            queue.add(tracked.key)


def _rights_beside(settings: Settings) -> tuple[Right, ...]:
    """Return the required rights on other kinds than TrainingJob."""
    return (
        *(rights_to_lead(settings.lease_namespace) if settings.enable_leader_election else ()),
        *(() if settings.cluster_id else (right_to_cluster_id(),)),
        *((right_to_account_map(settings.system_namespace),) if settings.enable_carm else ()),
    )


def _context(process: Process, caller: CallerIdentity, cluster_id: str) -> OperatorContext:
    settings = process.settings
    return OperatorContext(
        defaults=Defaults(
            account=caller.account,
            region=settings.aws_region,
            endpoint_url=settings.aws_endpoint_url or None,
            deletion=Deletion(settings.deletion_policy),
            ttl_seconds=settings.ttl_seconds_after_finished,
            allow_unsafe_endpoints=settings.allow_unsafe_aws_endpoint_urls,
            carm_enabled=settings.enable_carm,
            adoption_namespaces=settings.adoption_namespaces,
            allowed_endpoints=settings.allowed_endpoint_urls,
        ),
        partition=caller.partition,
        cluster_id=cluster_id,
        default_tags=dict(settings.resource_tags),
        version=process.version,
        external_id=settings.assume_role_external_id or None,
        overrides_passive=settings.override_passive,
        knows_region=process.gateways.knows_region,
    )


def _elapsed() -> float:
    """Return monotonic seconds including suspend; a leader resumed from suspend must not trust an expired Lease."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _elector(settings: Settings, api: ApiServer, clocks: Clocks, may_lead: Callable[[], bool]) -> Elector | None:
    if not settings.enable_leader_election:
        return None
    return Elector(
        api,
        namespace=settings.lease_namespace,
        identity=f"{socket.gethostname()}_{uuid.uuid4()}",
        clock=clocks.monotonic,
        now=clocks.wall,
        jitter=clocks.jitter,
        may_lead=may_lead,
    )
