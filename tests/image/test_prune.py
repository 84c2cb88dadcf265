"""No program runs the parts that image/prune.py removes; tests/e2e/test_container.py runs whole lives of jobs on the
rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from image.prune import REMOVALS, prune
from tests.image.environment import count_bytes

ASK_BOTOCORE = """
import json, sys
from botocore.session import Session

session = Session()
endpoints = {}
for partition in session.get_component("data_loader").load_data("endpoints")["partitions"]:
    region = min(partition["regions"])
    for service in ("sagemaker", "sts", "sqs", "sso", "sso-oidc", "signin"):
        client = session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="b")
        endpoints[f"{service} {region}"] = [client.meta.endpoint_url, client.meta.service_model.api_version]
json.dump(endpoints, sys.stdout)
"""
IMPORT_ALL = """
import importlib, pkgutil, trainingjob_operator

found = [module.name for module in pkgutil.walk_packages(trainingjob_operator.__path__, "trainingjob_operator.")]
for name in found:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(found), trainingjob_operator.__file__)
"""


def run(python: Path | str, code: str) -> str:
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True, env={}).stdout


def test_every_module_of_the_operator_can_be_imported(image_python: Path) -> None:
    count, path = run(image_python, IMPORT_ALL).split()
    assert int(count) > 50
    assert Path(path).is_relative_to(image_python.parents[1])


def test_the_kept_services_have_clients_with_the_same_endpoints_in_every_partition(image_python: Path) -> None:
    endpoints = json.loads(run(image_python, ASK_BOTOCORE))
    assert len(endpoints) > 30
    assert endpoints == json.loads(run(sys.executable, ASK_BOTOCORE))


def test_the_environment_stays_within_its_size(image_python: Path) -> None:
    assert count_bytes(image_python.parents[1]) < 60e6


def test_a_removal_without_a_match_is_reported(image_python: Path, tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3" / "site-packages").mkdir(parents=True)
    with pytest.raises(LookupError, match="nothing to remove from bin: correct REMOVALS"):
        prune(tmp_path)


@pytest.mark.parametrize("folder", REMOVALS)
def test_each_kept_entry_exists(image_python: Path, folder: str) -> None:
    [packages] = image_python.parents[1].glob("lib/python3*/site-packages")
    place = image_python.parent if folder == "bin" else packages / folder
    kept: Any = REMOVALS[folder].keep
    assert all(list(place.glob(pattern)) for pattern in kept)
