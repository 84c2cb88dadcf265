"""CloudWatch Logs and StopTrainingJob, with the person's own AWS credentials.

The only importer of boto3 in the plugin. Credentials, profile and endpoint come from the AWS SDK's own variables and
files; the region comes from the ARN of the job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from kubectl_trainingjob.errors import CommandError, NoCredentials
from kubectl_trainingjob.logic.log_lines import LogLine, choose_streams, read_line
from kubectl_trainingjob.logic.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainingjob_operator.logic.naming import Identity

MAX_STREAMS = 100
"""Maximum number of stream names in FilterLogEvents."""
MAX_LINES = 10_000
"""Maximum number of lines in an answer of GetLogEvents."""

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5})


class Account:
    """One AWS account and region, as the person may use it."""

    def __init__(self, identity: Identity, profile: str = "") -> None:
        self._identity = identity
        self._clients: dict[str, Any] = {}
        try:
            self._session = boto3.Session(profile_name=profile or None, region_name=identity.region)
        except (BotoCoreError, ValueError) as error:
            raise CommandError(
                f"The AWS configuration is not usable: {error}. Check AWS_PROFILE or --profile."
            ) from error

    def list_streams(self, group: str, prefix: str, instances: Sequence[str]) -> list[str]:
        """Return the names of the job's log streams; none before the first line."""
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            try:
                answer = self._call(
                    "logs", "describe_log_streams", logGroupName=group, logStreamNamePrefix=prefix, **token
                )
            except NoLogGroup:
                return []
            names += [stream["logStreamName"] for stream in answer["logStreams"]]
            if not answer.get("nextToken"):
                return choose_streams(names, instances)
            token = {"nextToken": answer["nextToken"]}

    def read_lines(self, group: str, streams: Sequence[str], start: int | None) -> Iterator[list[LogLine]]:
        """Yield the lines of the streams from `start` (milliseconds since the epoch) on, in pages."""
        for first in range(0, len(streams), MAX_STREAMS):
            yield from self._read_chunk(group, streams[first : first + MAX_STREAMS], start)

    def _read_chunk(self, group: str, streams: Sequence[str], start: int | None) -> Iterator[list[LogLine]]:
        options: dict[str, Any] = {} if start is None else {"startTime": start}
        while True:
            answer = self._call(
                "logs", "filter_log_events", logGroupName=group, logStreamNames=list(streams), **options
            )
            if answer["events"]:
                yield [read_line(event) for event in answer["events"]]
            if not answer.get("nextToken"):
                return
            options["nextToken"] = answer["nextToken"]

    def find_tail(self, group: str, streams: Sequence[str], count: int, start: int | None) -> int | None:
        """Return the time from which the streams have their last `count` lines together; None without lines."""
        options: dict[str, Any] = {} if start is None else {"startTime": start}
        times: list[int] = []
        for stream in streams:
            answer = self._call(
                "logs",
                "get_log_events",
                logGroupName=group,
                logStreamName=stream,
                limit=min(count, MAX_LINES),
                startFromHead=False,
                **options,
            )
            times += [int(event["timestamp"]) for event in answer["events"]]
        return min(sorted(times)[-count:], default=None)

    def check_account(self) -> None:
        """Raise CommandError if the credentials belong to another account than the job's."""
        account = self._call("sts", "get_caller_identity")["Account"]
        if account != self._identity.account:
            raise CommandError(
                f"The job is in account {self._identity.account}, your AWS credentials are of account {account}. "
                "Choose others with AWS_PROFILE or --profile."
            )

    def stop_job(self, job_name: str) -> None:
        """Request the end of the job."""
        self._call("sagemaker", "stop_training_job", TrainingJobName=job_name)

    def _call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            if service not in self._clients:  # the model of SageMaker takes half a second
                self._clients[service] = self._session.client(service, config=_CONFIG)
            answer: dict[str, Any] = getattr(self._clients[service], operation)(**arguments)
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise NoCredentials(
                "There are no AWS credentials. Log in with `aws sso login`, or set AWS_PROFILE or --profile."
            ) from error
        except ClientError as error:
            raise self._convert(error, operation) from error
        except BotoCoreError as error:
            raise CommandError(f"AWS does not answer: {error}. Check the network and AWS_PROFILE.") from error
        return answer

    def _convert(self, error: ClientError, operation: str) -> CommandError:
        code, words = error.response["Error"].get("Code", ""), escape(error.response["Error"].get("Message", ""))
        if code == "ResourceNotFoundException":
            return NoLogGroup(words)
        where = f"account {self._identity.account}, region {self._identity.region}"
        if code.startswith("AccessDenied"):
            return CommandError(f"AWS refuses {operation} ({where}): {words} Ask for the permission, or use --profile.")
        if code.startswith(("Expired", "InvalidClientToken", "UnrecognizedClient")):
            return CommandError(f"The AWS credentials are not valid: {words} Log in again, or use --profile.")
        return CommandError(f"AWS answered {code} to {operation} ({where}): {words}")


class NoLogGroup(CommandError):  # noqa: N818
    """No job of the account and region has written a log line."""
