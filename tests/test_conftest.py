"""Environment of the tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from tests.conftest import pytest_configure

if TYPE_CHECKING:
    import pytest


def test_tests_cannot_use_a_developers_clusters_accounts_and_proxies(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.setenv(name, "of a developer")
    monkeypatch.setenv("no_proxy", "registry.example")
    pytest_configure(pytestconfig)
    assert "of a developer" not in os.environ.values()
    assert os.environ["NO_PROXY"] == "registry.example,127.0.0.1,localhost"
    credentials = boto3.Session().get_credentials()
    assert credentials is not None
    assert credentials.access_key == "AKIATESTTESTTESTTEST"
