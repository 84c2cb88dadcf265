"""What must hold before the operator works, each part tried again until it does.

A process that ends because AWS or the API server is out of reach, or because something is not installed yet, is only
started again by its kubelet, later and later. So it stays: alive, not ready, with one sentence that names what is
missing in the log and in readiness.
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
from trainingjob_operator.logic.errors import AwsError, ErrorClass
from trainingjob_operator.settings import Settings

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two tries of one part; doubled from one to the next."""

API_SERVER = "the API server"
CLUSTER = "the identity of the cluster"
AWS = "AWS"
FIRST_LIST = "the first list of objects"

T = TypeVar("T")


class Obstacle(Exception):  # noqa: N818  a state of affairs that may pass
    """The part does not hold; the message is one sentence that names what to change."""


class Identities(Protocol):
    """Whose credentials these are (aws/gateway.py)."""

    async def caller_identity(self) -> CallerIdentity: ...


async def persist(part: str, attempt: Callable[[], Awaitable[T]], readiness: Readiness, clocks: Clocks) -> T:
    """The result of the first attempt that meets no Obstacle; each new one is logged."""
    pause, told = FIRST_PAUSE, ""
    while True:
        try:
            result = await attempt()
        except Obstacle as obstacle:
            sentence = str(obstacle)
            log.log(logging.DEBUG if sentence == told else logging.WARNING, "%s", sentence)
            told = sentence
            readiness.wait_for(part, sentence)
        else:
            readiness.reached(part)
            return result
        await asyncio.sleep(pause * clocks.jitter.uniform(0.75, 1.0))
        pause = min(LONGEST_PAUSE, 2 * pause)


async def await_coverage(
    coverage: Coverage, server: Callable[[], str | None], readiness: Readiness, clocks: Clocks
) -> None:
    """Wait until at least one namespace can be served; `coverage` itself shows why one can't."""
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
            f"The API server{where} can't be reached ({error}): check the kubeconfig or the pod's service account."
        ) from error


async def read_cluster_id(given: str, read: Callable[[], Awaitable[str | None]]) -> str:
    """`--cluster-id`, or what the cluster itself has. Raises Obstacle."""
    try:
        cluster_id = given or await read()
    except KubeError as error:
        raise Obstacle(f"The identity of the cluster can't be read ({error}): set --cluster-id.") from error
    if cluster_id is None:
        raise Obstacle("The namespace kube-system can't be read: allow it (deploy/), or set --cluster-id.")
    return cluster_id


async def identify(identities: Identities, endpoint: str) -> CallerIdentity:
    """Whose credentials these are; `endpoint` names the STS that is asked. Raises Obstacle."""
    try:
        return await identities.caller_identity()
    except AwsError as error:
        if error.kind in (ErrorClass.RETRY, ErrorClass.THROTTLED):
            raise Obstacle(
                f"{endpoint} does not say whose credentials these are ({error}): check the network and the endpoint."
            ) from error
        raise Obstacle(
            f"The AWS credentials do not work ({error}): give the pod a role (IRSA, Pod Identity) or set the AWS_ "
            "variables of the SDK."
        ) from error


def name_sts(settings: Settings, environ: Mapping[str, str]) -> str:
    """The STS that will be asked, with the flag or variable that chose it."""
    given = {
        "--aws-identity-endpoint-url": settings.aws_identity_endpoint_url,
        "AWS_ENDPOINT_URL_STS": environ.get("AWS_ENDPOINT_URL_STS"),
        "AWS_ENDPOINT_URL": environ.get("AWS_ENDPOINT_URL"),
    }
    source = next((source for source, url in given.items() if url), None)
    return f"STS in {settings.aws_region}" if source is None else f"STS at {given[source]} ({source})"


async def list_first(list_all: Callable[[], Awaitable[int]], label_selector: str) -> None:
    """Read who exists. Raises Obstacle."""
    try:
        await list_all()
    except Invalid as error:
        if not label_selector:
            raise Obstacle(f"The API server refuses to list the objects: {error}") from error
        raise Obstacle(f"The API server refuses --watch-selectors={label_selector}: {error}") from error
    except KubeError as error:
        raise Obstacle(f"The objects can't be listed yet: {error}") from error
