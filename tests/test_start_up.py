"""Start: it waits for missing dependencies with a back-off, logs each once, and never ends the process."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random

import pytest

from tests.fakes.discovery import FakeDiscovery, make_coverage
from tests.fakes.service import wall
from tests.fakes.virtual_time import run
from trainingjob_operator.aws.identities import CallerIdentity
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.health import Readiness
from trainingjob_operator.kube.errors import Invalid, NotLoggedIn, Unavailable
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.settings import Settings
from trainingjob_operator.start_up import (
    BACKOFF,
    Obstacle,
    await_coverage,
    identify,
    list_first,
    name_sts,
    persist,
    read_cluster_id,
)


def clocks() -> Clocks:
    return Clocks(asyncio.get_running_loop().time, wall, random.Random(7))


def test_each_new_obstacle_is_logged_and_the_back_off_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        readiness, tries = Readiness(), list[float]()

        async def attempt() -> str:
            tries.append(asyncio.get_running_loop().time())
            if len(tries) < 12:
                raise Obstacle("one" if len(tries) < 6 else "two")
            return "done"

        task = asyncio.ensure_future(persist("it", attempt, readiness, clocks()))
        await asyncio.sleep(0.1)
        assert readiness.explain() == ["waiting for it: one"]
        assert await task == "done"
        assert readiness.explain() == []
        pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
        assert pauses[0] <= 1.0
        assert max(pauses) <= BACKOFF.limit
        assert min(pauses[-3:]) >= 0.7 * BACKOFF.limit

    run(main())
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == ["one", "two"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotLoggedIn("No usable credentials (x): junk"), "No usable credentials (x): junk: check the kubeconfig"),
        (Unavailable("refused"), "Cannot reach the API server https://host (refused): check the kubeconfig"),
    ],
)
def test_the_start_waits_for_the_api_server(error: Unavailable, sentence: str) -> None:
    async def main() -> None:
        readiness, discovery = Readiness(), FakeDiscovery(error=error)
        coverage = make_coverage(discovery, readiness=readiness)
        task = asyncio.ensure_future(await_coverage(coverage, lambda: "https://host", readiness, clocks()))
        await asyncio.sleep(60)
        assert not task.done()
        assert sentence in readiness.explain()[0]
        discovery.error, discovery.schema = None, None
        await asyncio.sleep(60)
        assert not task.done()
        assert "CustomResourceDefinition" in readiness.explain()[0]
        discovery.schema = "1"
        await task
        assert readiness.explain() == []

    run(main())


class Sts:
    def __init__(self, error: AwsError | None = None) -> None:
        self.error = error

    async def caller_identity(self) -> CallerIdentity:
        if self.error is not None:
            raise self.error
        return CallerIdentity("123456789012", "aws", "arn:aws:iam::123456789012:user/x")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ErrorClass.RETRY, "STS at http://sts (AWS_ENDPOINT_URL_STS) did not answer GetCallerIdentity"),
        (ErrorClass.THROTTLED, "STS at http://sts (AWS_ENDPOINT_URL_STS) did not answer GetCallerIdentity"),
        (ErrorClass.CREDENTIALS, "The AWS credentials are invalid"),
        (ErrorClass.DENIED, "The AWS credentials are invalid"),
    ],
)
def test_a_failed_call_of_sts_is_not_reported_as_invalid_credentials(kind: ErrorClass, words: str) -> None:
    async def main() -> None:
        error = AwsError("GetCallerIdentity", "Code", "message", kind, definite=True)
        with pytest.raises(Obstacle) as met:
            await identify(Sts(error), "STS at http://sts (AWS_ENDPOINT_URL_STS)")
        assert str(met.value).startswith(words)
        assert (await identify(Sts(), "")).account == "123456789012"

    run(main())


@pytest.mark.parametrize(
    ("flag", "environ", "name"),
    [
        ("", {}, "STS in eu-west-1"),
        ("", {"AWS_ENDPOINT_URL": "http://a"}, "STS at http://a (AWS_ENDPOINT_URL)"),
        (
            "",
            {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_STS": "http://b"},
            "STS at http://b (AWS_ENDPOINT_URL_STS)",
        ),
        ("https://c", {"AWS_ENDPOINT_URL_STS": "http://b"}, "STS at https://c (--aws-identity-endpoint-url)"),
    ],
)
def test_the_endpoint_of_sts_is_reported_with_its_source(flag: str, environ: dict[str, str], name: str) -> None:
    assert name_sts(Settings(aws_region="eu-west-1", aws_identity_endpoint_url=flag), environ) == name


def test_the_cluster_id_is_read_from_the_flag_or_the_cluster() -> None:
    async def main() -> None:
        async def denied() -> str | None:
            return None

        async def away() -> str | None:
            raise Unavailable("no answer")

        assert await read_cluster_id("given", away) == "given"
        with pytest.raises(Obstacle, match="Cannot read namespace kube-system: grant the right"):
            await read_cluster_id("", denied)
        with pytest.raises(Obstacle, match=r"no answer.*--cluster-id"):
            await read_cluster_id("", away)

    run(main())


def test_a_selector_rejected_by_the_api_server_is_named() -> None:
    async def main() -> None:
        async def refuse() -> int:
            raise Invalid("unable to parse requirement")

        async def fail() -> int:
            raise Unavailable("no answer")

        with pytest.raises(Obstacle, match="rejects --watch-selectors=-x/y=z: unable to parse"):
            await list_first(refuse, "-x/y=z")
        with pytest.raises(Obstacle, match="rejects the list of TrainingJobs"):
            await list_first(refuse, "")
        with pytest.raises(Obstacle, match="Cannot list TrainingJobs yet: no answer"):
            await list_first(fail, "a=b")

    run(main())
