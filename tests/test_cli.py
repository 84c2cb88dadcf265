"""Command line: output, settings and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from tests.own_logging import own_logging
from trainingjob_operator.cli import main
from trainingjob_operator.settings import FLAGS, IGNORED_FLAGS, Group

if TYPE_CHECKING:
    from trainingjob_operator.settings import Settings

ENVIRON = {"AWS_REGION": "eu-west-1"}


class Operation:
    """Takes the place of the operator; records its settings."""

    def __init__(self, exit_code: int = 0) -> None:
        self.exit_code = exit_code
        self.settings: Settings | None = None

    async def __call__(self, settings: Settings) -> int:
        self.settings = settings
        return self.exit_code


def run(*flags: str, environ: dict[str, str] = ENVIRON) -> tuple[int, Settings | None]:
    operation = Operation()
    with own_logging():
        exit_code = main(["run", *flags], environ, operation)
    return exit_code, operation.settings


def test_flags_are_passed_to_the_operator_as_settings() -> None:
    exit_code, settings = run("--sweep-seconds", "2", "--watch-namespace=a,b", "--deletion-policy=retain")
    assert exit_code == 0
    assert settings is not None
    assert (settings.sweep_seconds, settings.watch_namespace) == (2, ("a", "b"))
    assert settings.deletion_policy == "retain"


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        (["--enable-leader-election"], True),
        (["--enable-leader-election", "--log-level=info"], True),
        (["--enable-leader-election=true"], True),
        (["--enable-leader-election=false"], False),
        ([], False),
    ],
)
def test_the_value_of_a_boolean_flag_is_optional(flags: list[str], chosen: bool) -> None:
    _, settings = run(*flags)
    assert settings is not None
    assert settings.enable_leader_election is chosen


def test_acks_flag_for_the_concurrency_is_accepted() -> None:
    _, settings = run("--reconcile-default-max-concurrent-syncs", "3")
    assert settings is not None
    assert settings.max_concurrent_reconciles == 3


def test_the_exit_code_is_the_operators() -> None:
    with own_logging():
        assert main(["run"], ENVIRON, Operation(exit_code=3)) == 3


@pytest.mark.parametrize(
    ("argv", "sentence", "shows_flags"),
    [
        (["run", "--sweep-second", "1"], "unrecognized arguments: --sweep-second", True),
        (["run", "--sweep-seconds"], "--sweep-seconds: expected one argument", True),
        (["run", "--sweep-seconds", "soon"], "--sweep-seconds: invalid value 'soon': must be a number", False),
        (["walk"], "invalid choice: 'walk'", True),
        ([], "required: COMMAND", True),
    ],
)
def test_an_invalid_flag_is_reported_on_the_last_line_with_exit_code_2(
    argv: list[str], sentence: str, shows_flags: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    operation = Operation()
    assert main(argv, ENVIRON, operation) == 2
    assert operation.settings is None
    printed = capsys.readouterr()
    assert printed.out == ""
    *flags, last = printed.err.splitlines()
    assert sentence in last
    assert any("  --max-concurrent-reconciles" in line for line in flags) is shows_flags


def test_without_a_region_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(environ={})[0] == 2
    assert "set AWS_REGION" in capsys.readouterr().err


def test_each_flag_of_ack_without_effect_is_accepted_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    twice = [flag for name in IGNORED_FLAGS for flag in (f"{name}=TrainingJob=5", name)]
    exit_code, settings = run(*twice)
    assert exit_code == 0
    assert settings is not None
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["warn"] * len(IGNORED_FLAGS)
    for line, (name, reason) in zip(lines, IGNORED_FLAGS.items(), strict=True):
        assert line["msg"] == f"{name} is accepted but has no effect: {reason}"


def test_help_shows_every_flag_in_its_group_with_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert [shown.index(f"\n{group.value}:\n") for group in Group] == sorted(
        shown.index(f"\n{group.value}:\n") for group in Group
    )
    for flag in FLAGS:
        assert re.search(rf"  {flag.name}[ ,]", shown), "Python 3.13 prints an alias before the metavariable"
        assert f"${flag.variable}" in shown
    assert "0.0.0.0:8080" in shown
    assert not any(name in shown for name in IGNORED_FLAGS)


@pytest.mark.parametrize(
    "program", [["-m", "trainingjob_operator"], ["-c", "from trainingjob_operator.cli import main; main()"]]
)
def test_the_program_prints_its_version(program: list[str]) -> None:
    environ = os.environ | {"PYTHONPATH": "operator"}
    printed = subprocess.run(
        [sys.executable, *program, "--version"], env=environ, capture_output=True, text=True, check=True
    )
    assert printed.stdout == f"trainingjob-operator {metadata.version('trainingjob-operator')}\n"


def test_the_operator_runs_without_the_synchronous_kubernetes_client() -> None:
    code = (
        "import sys\n"
        "from trainingjob_operator.cli import load_bare\n"
        "load_bare('kubernetes')\n"
        "import trainingjob_operator.process\n"
        "print('kubernetes.aio.config.kube_config' in sys.modules, 'kubernetes.config' in sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["True", "False"]
