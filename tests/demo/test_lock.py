"""The packages of requirements-demo.lock: enough for the demo, and those that the tests run with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORT = """
import json, sys
before = set(sys.modules)
import kubectl_trainingjob.__main__, moto.server, tests.demo.__main__, tests.sagemaker.program, trainingjob_operator.cli
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def read_lock(name: str) -> set[str]:
    """Each package as name==version."""
    lines = (ROOT / name).read_text().splitlines()
    return {line.split()[0] for line in lines if "==" in line and line[0].isalnum()}


@pytest.mark.parametrize(("part", "whole"), [("", "-demo"), ("-demo", "-dev")])
def test_each_lock_holds_the_packages_of_the_smaller_one(part: str, whole: str) -> None:
    packages = read_lock(f"requirements{part}.lock")
    assert packages
    assert packages <= read_lock(f"requirements{whole}.lock")


def test_the_demo_imports_no_package_outside_its_lock() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    run = subprocess.run(
        [sys.executable, "-c", IMPORT],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    owners = packages_distributions()
    imported = {owner.lower().replace("_", "-") for name in json.loads(run.stdout) for owner in owners.get(name, ())}
    locked = {package.partition("==")[0] for package in read_lock("requirements-demo.lock")}
    assert "moto" in imported
    assert imported - locked - {"trainingjob-operator"} == set()
