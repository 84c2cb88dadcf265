"""Error answers of the API server, without a server."""

from __future__ import annotations

import json

import pytest

from trainingjob_operator.kube.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    Unavailable,
    from_answer,
)


@pytest.mark.parametrize(
    ("http_status", "reason", "kind"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unavailable),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Expired),
        (413, "RequestEntityTooLarge", Invalid),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Unavailable),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
def test_each_answer_has_its_error_with_the_api_servers_message(
    http_status: int, reason: str, kind: type[KubeError]
) -> None:
    error = from_answer(http_status, json.dumps({"reason": reason, "message": "the words"}).encode())
    assert type(error) is kind
    assert error.reason == reason
    assert str(error) == "the words"


@pytest.mark.parametrize("body", [b"", b"404 page not found", b"[]", b"<html>", b'{"details": null}', b"\xff"])
def test_an_answer_without_a_status_object_is_reported_by_its_http_status(body: bytes) -> None:
    error = from_answer(404, body)
    assert isinstance(error, NotFound)
    assert str(error) == "HTTP 404"


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [
        ("7", {}, 7.0),
        (None, {"retryAfterSeconds": 3}, 3.0),
        ("7", {"retryAfterSeconds": 3}, 7.0),
        (None, {}, 1.0),
        ("Fri, 07 Nov 2026 23:59:59 GMT", {}, 1.0),
        ("-5", {}, 0.0),
    ],
)
def test_retry_after_is_read_from_header_or_status(header: str | None, details: dict[str, int], seconds: float) -> None:
    error = from_answer(429, {"details": details}, header)
    assert isinstance(error, Unavailable)
    assert error.retry_after == seconds


def test_an_expired_list_has_the_token_to_continue() -> None:
    error = from_answer(410, {"reason": "Expired", "metadata": {"continue": "next"}})
    assert isinstance(error, Expired)
    assert error.continue_token == "next"


def test_a_terminating_namespace_is_distinguished_from_a_missing_right() -> None:
    terminating = from_answer(403, {"reason": "Forbidden", "details": {"causes": [{"reason": "NamespaceTerminating"}]}})
    denied = from_answer(403, {"reason": "Forbidden", "details": {"name": "x"}})
    assert isinstance(terminating, Forbidden)
    assert isinstance(denied, Forbidden)
    assert (terminating.namespace_terminating, denied.namespace_terminating) == (True, False)


def test_a_changed_uid_is_a_conflict_and_other_invalid_fields_are_not() -> None:
    def answer(field: str) -> KubeError:
        return from_answer(422, {"reason": "Invalid", "details": {"causes": [{"field": field}]}})

    assert type(answer("metadata.uid")) is Conflict
    assert type(answer("spec.trainingJobName")) is Invalid
