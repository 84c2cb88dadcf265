"""Construction of the reconciling parts: by assembly.py on AWS and an API server, by the tests on fakes."""

from dataclasses import dataclass
from typing import Protocol

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.aws.gateway import Accounts
from trainingjob_operator.coverage import Coverage
from trainingjob_operator.create_queue import CreateQueue
from trainingjob_operator.job_calls import JobCalls
from trainingjob_operator.kube.client import Login
from trainingjob_operator.logic.jobs.event_flow import EventFlow
from trainingjob_operator.observer import ClusterState, Observer
from trainingjob_operator.reconciler import Objects, Reconciler
from trainingjob_operator.reporter import Recorder, Reporter, StatusWriter
from trainingjob_operator.runtime import OperatorContext, Runtime
from trainingjob_operator.settings import Settings
from trainingjob_operator.sweeper import Sweeper
from trainingjob_operator.watcher import Lists, Watcher


class ObjectsApi(Objects, StatusWriter, Lists, Protocol):
    """All requests about TrainingJobs (kube/objects.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The world outside the process."""

    accounts: Accounts
    budgets: Budgets
    objects: ObjectsApi
    recorder: Recorder
    cluster_state: ClusterState
    coverage: Coverage
    login: Login


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The parts that run as loops, and the parts between them."""

    create_queue: CreateQueue
    reconciler: Reconciler
    watcher: Watcher
    sweeper: Sweeper
    flow: EventFlow


def build(runtime: Runtime, context: OperatorContext, outside: Outside, settings: Settings) -> Operator:
    """Build all parts of one operator; nothing runs yet."""
    create_queue = CreateQueue(
        budgets=outside.budgets,
        queue=runtime.queue,
        clocks=runtime.clocks,
        workers=settings.max_concurrent_reconciles,
    )
    reconciler = Reconciler(
        runtime,
        objects=outside.objects,
        observer=Observer(runtime, context=context, create_queue=create_queue, cluster_state=outside.cluster_state),
        calls=JobCalls(context=context, accounts=outside.accounts, budgets=outside.budgets, clocks=runtime.clocks),
        create_queue=create_queue,
        reporter=Reporter(runtime, objects=outside.objects, recorder=outside.recorder),
    )
    watcher = Watcher(
        runtime,
        login=outside.login,
        lists=outside.objects,
        coverage=outside.coverage,
        label_selector=settings.watch_selectors,
        reconciler=reconciler,
    )
    flow = EventFlow()
    sweeper = Sweeper(
        runtime,
        seconds=settings.sweep_seconds,
        call_seconds=settings.http_client_timeout,
        accounts=outside.accounts,
        budgets=outside.budgets,
        flow=flow,
    )
    return Operator(create_queue=create_queue, reconciler=reconciler, watcher=watcher, sweeper=sweeper, flow=flow)
