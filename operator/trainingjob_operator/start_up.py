"""Preconditions of the operator, each retried until it holds.

Exiting while AWS or the API server is unreachable, or before the CRD is installed, would only add the kubelet's crash
back-off. The process therefore stays alive and unready, with one sentence on the missing part in the log and /readyz.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from trainingjob_operator.aws.identities import CallerIdentity
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.coverage import SURVEY_SECONDS, Coverage
from trainingjob_operator.health import Readiness
from trainingjob_operator.kube.errors import Invalid, KubeError, NotLoggedIn
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.settings import Settings

log = logging.getLogger(__name__)

BACKOFF = Backoff(1.0, 10.0)
"""Seconds between attempts of one part; doubled after each attempt."""

API_SERVER = "the API server"
CLUSTER = "the cluster ID"
AWS = "AWS"
FIRST_LIST = "the initial list of TrainingJobs"

T = TypeVar("T")


class Obstacle(Exception):  # noqa: N818  a temporary state, not an error
    """Unmet precondition; the message is one sentence with the required change."""


class Identities(Protocol):
    """Lookup of the caller identity (aws/gateway.py)."""

    async def caller_identity(self) -> CallerIdentity: ...


async def persist(part: str, attempt: Callable[[], Awaitable[T]], readiness: Readiness, clocks: Clocks) -> T:
    """Retry `attempt` until it raises no Obstacle and return its result; logs each new Obstacle once."""
    failures, logged = 0, ""
    while True:
        try:
            result = await attempt()
        except Obstacle as obstacle:
            sentence = str(obstacle)
            log.log(logging.DEBUG if sentence == logged else logging.WARNING, "%s", sentence)
            logged = sentence
            readiness.wait_for(part, sentence)
        else:
            readiness.reached(part)
            return result
        failures += 1
        await asyncio.sleep(BACKOFF.after(failures) * clocks.jitter.uniform(0.75, 1.0))


async def await_coverage(
    coverage: Coverage, server: Callable[[], str | None], readiness: Readiness, clocks: Clocks
) -> None:
    """Wait until the operator can serve at least one namespace; `coverage` reports the obstacles."""
    while True:
        await persist(API_SERVER, lambda: _survey(coverage, server), readiness, clocks)
        if coverage.served:
            return
        await asyncio.sleep(SURVEY_SECONDS)


async def _survey(coverage: Coverage, server: Callable[[], str | None]) -> None:
    try:
        await coverage.survey()
    except NotLoggedIn as error:
        raise Obstacle(f"{error}: check the kubeconfig or the pod's service account.") from error
    except KubeError as error:
        where = f" {server()}" if server() else ""
        raise Obstacle(
            f"Cannot reach the API server{where} ({error}): check the kubeconfig or the pod's service account."
        ) from error


async def read_cluster_id(given: str, read: Callable[[], Awaitable[str | None]]) -> str:
    """Return `--cluster-id`, or else the ID read from the cluster. Raises Obstacle."""
    try:
        cluster_id = given or await read()
    except KubeError as error:
        raise Obstacle(f"Cannot read the cluster ID ({error}): set --cluster-id.") from error
    if cluster_id is None:
        raise Obstacle("Cannot read namespace kube-system: grant the right (deploy/), or set --cluster-id.")
    return cluster_id


async def identify(identities: Identities, endpoint: str) -> CallerIdentity:
    """Return the caller identity; `endpoint` names the STS endpoint in messages. Raises Obstacle."""
    try:
        return await identities.caller_identity()
    except AwsError as error:
        if error.kind in (ErrorClass.RETRY, ErrorClass.THROTTLED):
            raise Obstacle(
                f"{endpoint} did not answer GetCallerIdentity ({error}): check the network and the endpoint."
            ) from error
        raise Obstacle(
            f"The AWS credentials are invalid ({error}): assign an IAM role to the pod (IRSA, Pod Identity) or set "
            "the AWS_ variables of the SDK."
        ) from error


def name_sts(settings: Settings, environ: Mapping[str, str]) -> str:
    """Name the STS endpoint, with the flag or variable of its URL."""
    given = {
        "--aws-identity-endpoint-url": settings.aws_identity_endpoint_url,
        "AWS_ENDPOINT_URL_STS": environ.get("AWS_ENDPOINT_URL_STS"),
        "AWS_ENDPOINT_URL": environ.get("AWS_ENDPOINT_URL"),
    }
    source = next((source for source, url in given.items() if url), None)
    return f"STS in {settings.aws_region}" if source is None else f"STS at {given[source]} ({source})"


async def list_first(list_all: Callable[[], Awaitable[int]], label_selector: str) -> None:
    """List all objects for the first time. Raises Obstacle."""
    try:
        await list_all()
    except Invalid as error:
        if not label_selector:
            raise Obstacle(f"The API server rejects the list of TrainingJobs: {error}") from error
        raise Obstacle(f"The API server rejects --watch-selectors={label_selector}: {error}") from error
    except KubeError as error:
        raise Obstacle(f"Cannot list TrainingJobs yet: {error}") from error
