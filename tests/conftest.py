"""What holds for every test: the shared fixtures, and an environment without the developer's clusters and accounts."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A slow machine is no defect. What else hypothesis chooses for CI or at home stays.
settings.register_profile("patient", settings(), deadline=None)
settings.register_profile("brief", deadline=None, max_examples=15)  # for `make unit`
settings.load_profile("patient")

# Pytest shows both sides of a failed assertion only in modules that it knows.
pytest.register_assert_rewrite("tests.logic.decide.situations")
pytest_plugins = ["tests.controlplane.fixtures", "tests.image.fixtures", "tests.sagemaker.fixtures"]

FOREIGN = ("AWS_", "KUBECONFIG", "KUBERNETES_SERVICE_")
"""Prefixes of variables that could lead a test to a real account or cluster; a test sets what it needs."""

FAKE_AWS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected files under tests/data/golden")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is collected, so that what is read at import is scrubbed too."""
    count_once(config)
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ.update(FAKE_AWS)
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, [spared, "127.0.0.1", "localhost"]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Keep the workers from counting coverage as any subprocess does: pytest-cov counts in them."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def count_once(config: pytest.Config) -> None:
    """End the coverage that pytest-cov starts in a worker as if it were no worker; it starts the right one later.

    Each one that counts doubles the time of the tests, and the mark `no_cover` ends one alone.
    """
    plugin = config.pluginmanager.get_plugin("_cov")
    if hasattr(config, "workerinput") and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()
