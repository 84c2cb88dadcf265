"""A Prometheus that scrapes one operator on loopback, with the rules of the chart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Self

import yaml

from tests.controlplane.plane import TETHER
from tests.e2e.operator_process import await_true
from tests.prometheus.queries import RULES

if TYPE_CHECKING:
    from pathlib import Path

SECOND = "1s"


class Prometheus:
    """A context manager; it dies with this process."""

    def __init__(self, programs: Path, folder: Path, target: str) -> None:
        """:param target: host and port of the operator's metrics"""
        self._log = folder / "prometheus.log"
        configuration = folder / "prometheus.yml"
        scrape = {"job_name": "trainingjob-operator", "honor_labels": True, "static_configs": [{"targets": [target]}]}
        pace = {"scrape_interval": SECOND, "scrape_timeout": SECOND, "evaluation_interval": SECOND}
        configuration.write_text(
            yaml.safe_dump({"global": pace, "rule_files": [str(RULES)], "scrape_configs": [scrape]})
        )
        self._command = [
            str(programs / "prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            command = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self._command]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            found = await_true("Prometheus listens", self._find_address)
            self.url = f"http://{found[1]}"
            await_true("Prometheus is ready", self._is_ready)
            await_true("Prometheus has scraped the operator", lambda: self.query("trainingjob_build_info"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _find_address(self) -> re.Match[str] | None:
        return re.search(r'msg="Listening on".*?address=(127\.0\.0\.1:\d+)', self._log.read_text())

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def query(self, expression: str) -> dict[str, float]:
        """The value of an expression now, by the labels as JSON; raises urllib.error.HTTPError for an invalid one."""
        return {json.dumps(labels, sort_keys=True): value for labels, value in self.query_labels(expression)}

    def query_labels(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The same with the labels as a dictionary, in the order of the answer."""
        result = self._ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of an expression over a time, as Prometheus answers them."""
        answer = self._ask("query_range", query=expression, start=str(start), end=str(end), step=str(step))
        series: list[dict[str, Any]] = answer["result"]
        return series

    def rules(self) -> list[dict[str, Any]]:
        """All rules with their health."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str) -> Any:
        with urllib.request.urlopen(
            f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}", timeout=30
        ) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]
