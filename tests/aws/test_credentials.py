"""Credentials for AWS: own and assumed roles, their refresh, rotated files, refusals, and certificates."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.server
import ipaddress
import re
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader
from botocore.session import Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.aws.conftest import REGION, Bench, RawServer, Request, answer_json
from trainingjob_operator.aws.credentials import MODELS, READING_TIMEOUTS, RENEWAL_SECONDS, Sessions, name_session
from trainingjob_operator.aws.gateway import Gateway, Target
from trainingjob_operator.aws.identities import CallerIdentity
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from pathlib import Path

    from tests.sagemaker.stand_in import StandIn

OWN, OTHER = "123456789012", "444455556666"
ROLE = f"arn:aws:iam::{OTHER}:role/jobs"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, sagemaker: StandIn) -> pytest.MonkeyPatch:
    """Environment variables for the stand-in's own account, without a region."""
    for name, value in sagemaker.environment(OWN).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    return monkeypatch


async def failure_of(call: Awaitable[object]) -> AwsError:
    with pytest.raises(AwsError) as raised:
        await call
    return raised.value


def jobs_of_other(bench: Bench, **target: str) -> Gateway:
    return bench.gateways().get(Target(OTHER, REGION, role_arn=ROLE, **target))


def test_the_reduced_service_model_is_loaded_first_and_has_every_called_operation() -> None:
    model = Loader(extra_search_paths=[str(MODELS)]).load_service_model("sagemaker", "service-2")
    assert set(model["operations"]) == set(OPERATIONS)


def test_reduced_endpoints_give_the_same_urls_as_all_of_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    sessions = Sessions(
        region=REGION,
        version="1",
        connections=1,
        clock=time.monotonic,
        before_send=lambda: None,
        hold=lambda _: None,
    )
    whole = Session()
    for partition in whole.get_component("data_loader").load_data("endpoints")["partitions"]:
        region = max(partition["regions"])
        assert sessions.knows_region(region)
        for service in ("sagemaker", "sts", "sqs"):
            client = sessions.client(service, region=region, timeouts=READING_TIMEOUTS)
            expected = whole.create_client(service, region)
            assert client.meta.endpoint_url == expected.meta.endpoint_url
            assert client.meta.partition == expected.meta.partition == partition["partition"]


# -- the operator's own account ---------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
async def test_each_attempt_to_start_reads_the_own_identity_again(sagemaker: StandIn, bench: Bench) -> None:
    gateways = bench.gateways()
    expected = CallerIdentity(OWN, "aws", f"arn:aws:iam::{OWN}:user/AKIA{OWN}")
    assert await gateways.caller_identity() == expected
    assert await gateways.caller_identity() == expected
    assert len(sagemaker.calls("sts:GetCallerIdentity")) == 2


async def test_an_unreachable_identity_is_an_error(environment: pytest.MonkeyPatch, bench: Bench) -> None:
    environment.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    failure = await failure_of(bench.gateways().caller_identity())
    assert (failure.operation, failure.kind) == ("GetCallerIdentity", ErrorClass.RETRY)


async def test_the_identity_endpoint_differs_from_sagemakers(
    environment: pytest.MonkeyPatch, sagemaker: StandIn, bench: Bench
) -> None:
    environment.delenv("AWS_ENDPOINT_URL")
    gateways = bench.gateways(identity_endpoint_url=sagemaker.url)
    assert (await gateways.caller_identity()).account == OWN
    other = gateways.get(Target(OTHER, REGION, role_arn=ROLE, endpoint_url=sagemaker.url))
    await other.list_page()
    assert [call["operation"] for call in sagemaker.calls()] == [
        "sts:GetCallerIdentity",
        "sts:AssumeRole",
        "ListTrainingJobs",
    ]


async def test_missing_credentials_are_an_error_until_they_exist(
    environment: pytest.MonkeyPatch, sagemaker: StandIn, bench: Bench, tmp_path: Path
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    gateways = bench.gateways()
    own, other = gateways.get(Target(OWN, REGION)), gateways.get(Target(OTHER, REGION, role_arn=ROLE))
    for gateway in (own, other):
        failure = await failure_of(gateway.stop("job"))
        assert (failure.code, failure.kind) == ("NoCredentialsError", ErrorClass.CREDENTIALS)
        assert failure.definite
    write_keys(tmp_path / "credentials", f"AKIA{OWN}")
    bench.clock.now += RENEWAL_SECONDS
    await failure_of(own.stop("job"))  # discards the session without credentials
    for gateway in (own, other):
        assert (await gateway.list_page())[0] == []
    assert {call["account"] for call in sagemaker.calls("ListTrainingJobs")} == {OWN, OTHER}


async def test_replaced_keys_in_a_file_are_used(
    environment: pytest.MonkeyPatch, sagemaker: StandIn, bench: Bench, tmp_path: Path
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_keys(tmp_path / "credentials", "AKIAOLD")
    gateways = bench.gateways()
    own, other = gateways.get(Target(OWN, REGION)), gateways.get(Target(OTHER, REGION, role_arn=ROLE))
    await own.list_page()

    sagemaker.identity(refused_keys={"AKIAOLD": "ExpiredTokenException"})
    write_keys(tmp_path / "credentials", f"AKIA{OWN}")
    assert (await failure_of(own.list_page())).kind is ErrorClass.CREDENTIALS
    assert (await failure_of(own.list_page())).kind is ErrorClass.CREDENTIALS  # not again for every call
    assert (await failure_of(other.list_page())).operation == "AssumeRole"
    bench.clock.now += RENEWAL_SECONDS
    assert (await failure_of(other.list_page())).kind is ErrorClass.CREDENTIALS
    await own.list_page()
    await other.list_page()


def write_keys(path: Path, key: str) -> None:
    path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


async def test_a_rotated_web_identity_token_is_read_again(
    environment: pytest.MonkeyPatch, sagemaker: StandIn, bench: Bench, tmp_path: Path
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    token = tmp_path / "token"
    token.write_text("first")
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    environment.setenv("AWS_ROLE_ARN", f"arn:aws:iam::{OWN}:role/operator")
    sagemaker.identity(web_tokens=["first"], session_seconds=300)  # within botocore's refresh window
    gateway = bench.gateways().get(Target(OWN, REGION))
    await gateway.list_page()

    sagemaker.identity(web_tokens=["second"])
    failure = await failure_of(gateway.list_page())
    assert (failure.operation, failure.kind) == ("AssumeRoleWithWebIdentity", ErrorClass.CREDENTIALS)
    token.write_text("second")
    await gateway.list_page()
    assert sagemaker.seen_web_tokens()[0] == "first"
    assert sagemaker.seen_web_tokens()[-1] == "second"
    assert {call["account"] for call in sagemaker.calls("ListTrainingJobs")} == {OWN}


async def test_a_missing_web_identity_token_is_a_credentials_error(
    environment: pytest.MonkeyPatch, bench: Bench, tmp_path: Path
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "none"))
    environment.setenv("AWS_ROLE_ARN", f"arn:aws:iam::{OWN}:role/operator")
    failure = await failure_of(bench.gateways().get(Target(OWN, REGION)).stop("job"))
    assert (failure.kind, failure.definite) == (ErrorClass.CREDENTIALS, True)


async def test_pod_identity_returns_keys_for_a_rotated_token(
    environment: pytest.MonkeyPatch, sagemaker: StandIn, bench: Bench, tmp_path: Path
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    token = tmp_path / "token"
    token.write_text("first")

    async def agent(_: Request) -> tuple[int, bytes]:
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        keys = {"AccessKeyId": f"AKIA{OTHER}", "SecretAccessKey": "secret", "Token": "t"}
        return answer_json({**keys, "Expiration": soon.strftime("%Y-%m-%dT%H:%M:%SZ")})

    async with RawServer(agent) as server:
        environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/v1/credentials")
        environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        gateway = bench.gateways().get(Target(OTHER, REGION))
        await gateway.list_page()
        token.write_text("second")
        await gateway.list_page()
        tokens = [request.headers["authorization"] for request in server.requests]
    assert (tokens[0], tokens[-1]) == ("first", "second")
    assert [call["account"] for call in sagemaker.calls("ListTrainingJobs")] == [OTHER, OTHER]


def refuse(server: StandIn, code: str, operation: str = "ListTrainingJobs") -> None:
    server.fault("error", operation, code=code, status=403)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("role", [None, ROLE])
async def test_a_disabled_region_is_named_and_does_not_renew_credentials(
    sagemaker: StandIn, bench: Bench, role: str | None, environment: pytest.MonkeyPatch
) -> None:
    gateways = bench.gateways(identity_endpoint_url=sagemaker.url)
    environment.setenv("AWS_ENDPOINT_URL_SAGEMAKER", sagemaker.url)
    account = OWN if role is None else OTHER
    gateway = gateways.get(Target(account, REGION, role_arn=role))
    for code in ("UnrecognizedClientException", "InvalidClientTokenId"):
        bench.clock.now += RENEWAL_SECONDS
        fault = sagemaker.fault("error", "ListTrainingJobs", code=code, status=403, count=1)
        assert fault is not None
        failure = await failure_of(gateway.list_page())
        assert (failure.code, failure.kind) == ("RegionNotEnabled", ErrorClass.REGION)
        assert REGION in failure.message
        assert account in failure.message
        await gateway.list_page()
    assert len(sagemaker.calls("sts:AssumeRole")) == (0 if role is None else 1)
    assert len(sagemaker.calls("sts:GetCallerIdentity")) == 2


@pytest.mark.usefixtures("environment")
async def test_an_endpoint_that_rejects_all_keys_does_not_renew_credentials(sagemaker: StandIn, bench: Bench) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return answer_json({"__type": "ExpiredTokenException", "message": "no"}, 400)

    async with RawServer(behave) as server:
        gateways = bench.gateways()
        foreign = gateways.get(Target(OTHER, REGION, role_arn=ROLE, endpoint_url=server.url))
        for _ in range(3):
            bench.clock.now += RENEWAL_SECONDS
            assert (await failure_of(foreign.list_page())).kind is ErrorClass.CREDENTIALS
        await gateways.get(Target(OTHER, REGION, role_arn=ROLE)).list_page()
    assert len(sagemaker.calls("sts:AssumeRole")) == 1


async def test_a_wrong_secret_key_is_read_again(
    environment: pytest.MonkeyPatch, sagemaker: StandIn, bench: Bench, tmp_path: Path
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_keys(tmp_path / "credentials", "AKIAOLD")
    own = bench.gateways().get(Target(OWN, REGION))
    sagemaker.identity(refused_keys={"AKIAOLD": "InvalidSignatureException"})
    await failure_of(own.list_page())
    write_keys(tmp_path / "credentials", f"AKIA{OWN}")
    bench.clock.now += RENEWAL_SECONDS
    assert (await failure_of(own.list_page())).kind is ErrorClass.CREDENTIALS
    await own.list_page()


async def test_no_call_is_sent_with_credentials_of_another_account(
    environment: pytest.MonkeyPatch,
    sagemaker: StandIn,
    bench: Bench,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_keys(tmp_path / "credentials", f"AKIA{OWN}")
    gateways = bench.gateways()
    await gateways.caller_identity()
    own = gateways.get(Target(OWN, REGION))
    await own.list_page()
    await gateways.confirm(Target(OWN, REGION))
    assert gateways.account_problem is None

    sagemaker.identity(refused_keys={f"AKIA{OWN}": "ExpiredTokenException"})
    write_keys(tmp_path / "credentials", f"AKIA{OTHER}")
    bench.clock.now += RENEWAL_SECONDS
    assert (await failure_of(own.list_page())).kind is ErrorClass.CREDENTIALS
    for _ in range(3):
        failure = await failure_of(own.stop("job"))
        assert (failure.code, failure.kind, failure.definite) == ("AccountChanged", ErrorClass.ACCOUNT, True)
        assert OWN in failure.message
        assert OTHER in failure.message
        assert gateways.account_problem == failure.message
    assert sagemaker.calls("StopTrainingJob") == []
    assert [record.levelname for record in caplog.records if OTHER in record.getMessage()] == ["ERROR"]
    bench.clock.now += RENEWAL_SECONDS
    failure = await failure_of(gateways.confirm(Target(OWN, REGION)))
    assert (failure.code, failure.kind) == ("AccountChanged", ErrorClass.ACCOUNT)

    write_keys(tmp_path / "credentials", "AKIANEW")  # of the default account
    assert (await failure_of(own.list_page())).kind is ErrorClass.ACCOUNT  # triggers another read of the file
    await own.list_page()
    bench.clock.now += RENEWAL_SECONDS
    await gateways.confirm(Target(OWN, REGION))
    assert gateways.account_problem is None


# -- assumed roles ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
async def test_a_role_is_assumed_once_for_all_its_regions(sagemaker: StandIn, bench: Bench) -> None:
    gateways = bench.gateways()
    for region in (REGION, "eu-west-1"):
        gateway = gateways.get(Target(OTHER, region, role_arn=ROLE))
        await asyncio.gather(gateway.list_page(), gateway.list_page())
    assert len(sagemaker.calls("sts:AssumeRole")) == 1
    assert {(call["account"], call["region"]) for call in sagemaker.calls("ListTrainingJobs")} == {
        (OTHER, REGION),
        (OTHER, "eu-west-1"),
    }


@pytest.mark.usefixtures("environment")
async def test_the_role_session_is_named_after_the_namespace(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.identity(denied_roles=[ROLE.replace("jobs", "none")])
    gateways = bench.gateways()
    for namespace in ("team-a", "team-b"):
        await gateways.get(Target(OTHER, REGION, role_arn=ROLE, namespace=namespace)).list_page()
    assert len(sagemaker.calls("sts:AssumeRole")) == 2


@pytest.mark.parametrize("namespace", ["team-a", "a" * 43, "a" * 44, "b" * 63])
def test_the_role_session_name_is_valid_for_sts(namespace: str) -> None:
    name = name_session(namespace)
    assert re.fullmatch(r"trainingjob-operator\.[\w+=,.@-]*", name)
    assert len(name) <= 64
    assert name_session(namespace[:-1] + "c") != name


@pytest.mark.usefixtures("environment")
async def test_keys_of_a_role_are_refreshed_before_they_expire(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.identity(session_seconds=600)  # within botocore's refresh window
    gateway = jobs_of_other(bench)
    for _ in range(3):
        await gateway.list_page()
    # the first call assumes the role and refreshes the short-lived keys at once
    assert len(sagemaker.calls("sts:AssumeRole")) >= 3
    assert sagemaker.errors() == {}


@pytest.mark.usefixtures("environment")
async def test_keys_revoked_before_their_expiry_are_replaced(sagemaker: StandIn, bench: Bench) -> None:
    gateway = jobs_of_other(bench)
    await gateway.list_page()
    sagemaker.expire_sessions()
    bench.clock.now += RENEWAL_SECONDS
    failure = await failure_of(gateway.list_page())
    assert (failure.code, failure.kind) == ("ExpiredTokenException", ErrorClass.CREDENTIALS)
    await gateway.list_page()
    assert len(sagemaker.calls("sts:AssumeRole")) == 2


@pytest.mark.usefixtures("environment")
async def test_a_denied_role_is_named_and_used_again_after_the_denial(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.identity(denied_roles=[ROLE])
    gateway = jobs_of_other(bench)
    failure = await failure_of(gateway.stop("job"))
    assert (failure.operation, failure.kind, failure.definite) == ("AssumeRole", ErrorClass.DENIED, True)
    assert ROLE in failure.message
    assert sagemaker.calls("StopTrainingJob") == []
    sagemaker.identity(denied_roles=[])
    await gateway.list_page()


@pytest.mark.usefixtures("environment")
async def test_an_external_id_is_sent_to_a_role_that_requires_it(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.identity(external_ids={ROLE: "shared-word"})
    assert (await failure_of(jobs_of_other(bench).list_page())).kind is ErrorClass.DENIED
    await jobs_of_other(bench, external_id="shared-word").list_page()


@pytest.mark.usefixtures("environment")
async def test_throttled_role_assumption_does_not_slow_other_calls(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.fault("throttle", "sts:AssumeRole", count=1)
    failure = await failure_of(jobs_of_other(bench).list_page())
    assert (failure.operation, failure.kind) == ("AssumeRole", ErrorClass.THROTTLED)
    assert bench.budgets.of(OTHER, REGION).list_page.rate == 1


# -- certificates -----------------------------------------------------------------------------------------


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """TLS context of a server with a certificate for 127.0.0.1, and the CA bundle for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "trusted.pem", folder / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers every POST with an empty object."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 – name of the base class
        pass


@contextlib.contextmanager
def serve_tls(context: ssl.SSLContext) -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


async def test_a_given_bundle_is_trusted(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, bundle = make_certificate(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with serve_tls(context) as url:
        await bench.gateways().get(Target(OWN, REGION, endpoint_url=url)).stop("job")


async def test_without_a_bundle_an_unknown_certificate_is_rejected_before_any_data_is_sent(
    bench: Bench, tmp_path: Path
) -> None:
    context, _ = make_certificate(tmp_path)
    with serve_tls(context) as url:
        failure = await failure_of(bench.gateways().get(Target(OWN, REGION, endpoint_url=url)).stop("job"))
    assert (failure.code, failure.kind, failure.definite) == ("SSLError", ErrorClass.RETRY, True)
