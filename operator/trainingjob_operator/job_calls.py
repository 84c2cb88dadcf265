"""Calls about single jobs, within the budgets of their account and region. The answers become consequences
(logic/decide/responses.py).

Not here: the choice of the call (logic/decide/), the call itself (aws/gateway.py), the memory of the object.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from trainingjob_operator.aws.budget import Budget, Budgets, OperationBudgets
from trainingjob_operator.aws.gateway import Accounts, Target
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.log_format import name_in_log
from trainingjob_operator.logic import operations
from trainingjob_operator.logic.decide import responses
from trainingjob_operator.logic.decide.responses import CallResult
from trainingjob_operator.logic.jobs.answers import check_arn
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.updates import TagChange, applied_fields
from trainingjob_operator.logic.naming import Identity, Owner
from trainingjob_operator.logic.objects.create_request import build_request, build_tags
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.state.outcomes import Created, JobMissing, StopSent, TagsSet, Updated
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.runtime import OperatorContext

log = logging.getLogger(__name__)


class JobCalls:
    """One method per operation of SageMaker; each returns the consequences of its answer.

    `view` is that of the decision, `target` the account that the call reaches.
    """

    def __init__(self, *, context: OperatorContext, accounts: Accounts, budgets: Budgets, clocks: Clocks) -> None:
        self._context = context
        self._accounts = accounts
        self._budgets = budgets
        self._clocks = clocks

    async def describe(self, identity: Identity, view: View, target: Target) -> CallResult:
        if wait := self._claim(lambda budgets: budgets.describe, view, target):
            return CallResult(wait=wait)
        try:
            answer = await self._accounts.get(target).describe(identity.job_name)
        except AwsError as error:
            if error.kind is not ErrorClass.NOT_FOUND:
                return responses.fail(view, operations.DESCRIBE, error)
            result = CallResult((JobMissing(self._clocks.monotonic()),), (operations.DESCRIBE,))
        else:
            outcomes = responses.read_description(view, identity, answer, self._clocks.monotonic())
            result = CallResult(outcomes, (operations.DESCRIBE,))
        is_missing = isinstance(result.outcomes[0], JobMissing)
        if is_missing and view.job.not_found_since is not None and view.arn is not None:
            # A second NotFound counts, if it is from the right account.
            try:
                await self._accounts.confirm(target)
            except AwsError as error:
                return responses.fail(view, operations.DESCRIBE, error)
        return result

    async def read_tags(self, arn: str, view: View, target: Target) -> CallResult:
        if wait := self._claim(lambda budgets: budgets.list_tags, view, target):
            return CallResult(wait=wait)
        try:
            tags = await self._accounts.get(target).list_tags(arn)
        except AwsError as error:
            if error.kind is ErrorClass.NOT_FOUND:
                return CallResult((JobMissing(self._clocks.monotonic()),))
            return responses.fail(view, operations.LIST_TAGS, error)
        outcomes = responses.read_tags(view, tags, self._owner(view.resource))
        return CallResult(outcomes, (operations.LIST_TAGS,))

    async def create(self, identity: Identity, view: View, target: Target, created_jobs: int) -> CallResult:
        """Call CreateTrainingJob, within the turn of the create queue.

        :param created_jobs: the number of jobs that this process created in the account and region
        """
        resource = view.resource
        context = self._context
        tags = build_tags(resource, self._owner(resource), context.default_tags, context.version)
        request = build_request(resource, identity, tags)
        try:
            arn = check_arn(await self._accounts.get(target).create(request), identity)
        except AwsError as error:
            return responses.react_to_create(view, error, self._clocks.monotonic(), created_jobs)
        keys = tuple(key for key, _ in resource.user_tags())
        log.info("Created the training job %s", identity.job_name, extra=name_in_log(*view.resource.key))
        created = Created(arn, keys, applied_fields(resource.spec), self._clocks.monotonic())
        return CallResult((created,), (operations.CREATE,))

    async def stop(self, identity: Identity, view: View, target: Target) -> CallResult:
        if wait := self._claim(lambda budgets: budgets.stop, view, target):
            return CallResult(wait=wait)
        try:
            await self._accounts.get(target).stop(identity.job_name)
        except AwsError as error:
            return responses.react_to_stop(view, error, self._clocks.monotonic())
        log.info(
            "SageMaker accepted the stop of the training job %s",
            identity.job_name,
            extra=name_in_log(*view.resource.key),
        )
        return CallResult((StopSent(self._clocks.monotonic()),), (operations.STOP,))

    async def update(self, identity: Identity, members: Mapping[str, Any], view: View, target: Target) -> CallResult:
        if wait := self._claim(lambda budgets: budgets.update, view, target):
            return CallResult(wait=wait)
        try:
            await self._accounts.get(target).update({"TrainingJobName": identity.job_name, **members})
        except AwsError as error:
            return responses.react_to_edit(view, error, operations.UPDATE)
        log.info(
            "Updated %s of the training job %s",
            ", ".join(members),
            identity.job_name,
            extra=name_in_log(*view.resource.key),
        )
        updated = Updated(members, applied_fields(view.resource.spec), self._clocks.monotonic())
        return CallResult((updated,), (operations.UPDATE,))

    async def set_tags(self, arn: str, change: TagChange, view: View, target: Target) -> CallResult:
        if wait := self._claim(lambda budgets: budgets.add_tags, view, target):
            return CallResult(wait=wait)
        gateway, operation = self._accounts.get(target), operations.ADD_TAGS
        try:
            if change.add:
                await gateway.add_tags(arn, change.add)
            operation = operations.DELETE_TAGS
            if change.remove:
                await gateway.delete_tags(arn, change.remove)
        except AwsError as error:
            return responses.react_to_edit(view, error, operation)
        log.info(
            "Set %d tags and removed %d", len(change.add), len(change.remove), extra=name_in_log(*view.resource.key)
        )
        keys = tuple(key for key, _ in view.resource.user_tags())
        outcome = TagsSet(change.add, tuple(change.remove), keys)
        return CallResult((outcome,), (operations.ADD_TAGS, operations.DELETE_TAGS))

    def _claim(self, which: Callable[[OperationBudgets], Budget], view: View, target: Target) -> float:
        """Claim one call of the budget; returns the seconds until the next claim, 0.0 for a permitted call."""
        return which(self._budgets.of(target.account, target.region)).claim(view.resource.key)

    def _owner(self, resource: Resource) -> Owner:
        return Owner(self._context.cluster_id, resource.namespace, resource.name, resource.uid)
