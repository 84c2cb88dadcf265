"""Shared fixtures, and an environment without the developer's clusters and accounts."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No deadline: slow machines are valid. Other settings are hypothesis' defaults for CI and elsewhere.
settings.register_profile("patient", settings(), deadline=None)
settings.register_profile("brief", deadline=None, max_examples=15)  # for `make unit`
settings.load_profile("patient")

# Pytest shows both sides of a failed assertion only in registered modules.
pytest.register_assert_rewrite("tests.logic.decide.situations")
pytest_plugins = ["tests.controlplane.fixtures", "tests.image.fixtures", "tests.sagemaker.fixtures"]

FOREIGN = ("AWS_", "KUBECONFIG", "KUBERNETES_SERVICE_")
"""Prefixes of variables for a real account or cluster; tests set the ones they need."""

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
    """Clean the environment before collection, for modules that read it at import."""
    count_once(config)
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ.update(FAKE_AWS)
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, [spared, "127.0.0.1", "localhost"]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Prevent coverage of xdist workers as subprocesses; pytest-cov measures them."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def count_once(config: pytest.Config) -> None:
    """Stop the first of two coverage measurements that pytest-cov starts in a worker.

    Each measurement doubles the time of the tests, and the mark `no_cover` stops only one.
    """
    plugin = config.pluginmanager.get_plugin("_cov")
    if hasattr(config, "workerinput") and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()
