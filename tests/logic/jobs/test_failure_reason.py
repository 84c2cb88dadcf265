from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.logic.jobs.failure_reason import classify_failure, hide_commands

SECRET = "hunter2"
SCRIPT = "AlgorithmError: ExecuteUserScriptError:\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\nKeyError: "x"'

QUOTED = [
    pytest.param(
        f'{SCRIPT}Command "/usr/bin/python3 train.py --lr 0.1 --token {SECRET}"', f'{SCRIPT}Command "…', id="containers"
    ),
    pytest.param(
        f'AlgorithmError: ExecuteUserScriptError: Command "/usr/bin/python train.py {SECRET}"',
        'AlgorithmError: ExecuteUserScriptError: Command "…',
        id="one line",
    ),
    pytest.param(
        f'{SCRIPT}Command "/usr/bin/python -m train --token {SECRET}"\n{TRACEBACK}',
        f'{SCRIPT}Command "…"\n{TRACEBACK}',
        id="followed by output",
    ),
    pytest.param(
        f'{SCRIPT}Command "/usr/bin/python train.py --token {SECRET}"\nusage: train.py [-h] [--lr LR]',
        f'{SCRIPT}Command "…"\nusage: train.py [-h] [--lr LR]',
        id="followed by usage",
    ),
    pytest.param(
        f'{SCRIPT}ExitCode 1\nErrorMessage "ValueError: bad"\nCommand "/opt/conda/bin/python3.8 t.py --token {SECRET}"'
        ", exit code: 1",
        f'{SCRIPT}ExitCode 1\nErrorMessage "ValueError: bad"\nCommand "…", exit code: 1',
        id="training toolkit",
    ),
    pytest.param(
        f'{SCRIPT}ExitCode 1\nErrorMessage ""\nExtraInfo "x"\nCommand "mpirun --host algo-1 -np 8 /usr/bin/python3'
        f' -m mpi4py train.py --cfg {{"a": "b",\n "token": "{SECRET}"\n}} --c "1"\n{TRACEBACK} {SECRET}", exit code: 1',
        f'{SCRIPT}ExitCode 1\nErrorMessage ""\nExtraInfo "x"\nCommand "…", exit code: 1',
        id="quotes, line breaks and a traceback in an argument",
    ),
    pytest.param(
        f"AlgorithmError: ExitCode 1\nErrorMessage \"subprocess.CalledProcessError: Command '['/opt/conda/bin/python', "
        f"'-u', 'train.py', '--token', \"it's {SECRET}\"]' returned non-zero exit status 1.\"\n"
        f'Command "/opt/conda/bin/python launch.py --token {SECRET}", exit code: 1',
        "AlgorithmError: ExitCode 1\nErrorMessage \"subprocess.CalledProcessError: Command '…' returned non-zero exit "
        'status 1."\nCommand "…", exit code: 1',
        id="two commands",
    ),
    pytest.param(
        f"AlgorithmError: Command 'python train.py {SECRET}' died with <Signals.SIGKILL: 9>.",
        "AlgorithmError: Command '…' died with <Signals.SIGKILL: 9>.",
        id="killed",
    ),
    pytest.param(
        f'AlgorithmError: framework error: \nExecuteUserScriptError:\nCommand "/conda/bin/python t.py --n {SECRET}"'
        "\n\nDuring handling of the above exception, another exception occurred:\n\nValueError: no",
        'AlgorithmError: framework error: \nExecuteUserScriptError:\nCommand "…"'
        "\n\nDuring handling of the above exception, another exception occurred:\n\nValueError: no",
        id="in a chain of exceptions",
    ),
    pytest.param(f'{SCRIPT}Command "/usr/bin/python t.py --token {SECRET}', f'{SCRIPT}Command "…', id="cut off"),
    pytest.param(
        f'AlgorithmError: \\nCommand \\"/usr/bin/python t.py --token {SECRET}\\"\\n{TRACEBACK}',
        f'AlgorithmError: \\nCommand \\"…\\"\\n{TRACEBACK}',
        id="encoded twice",
    ),
    pytest.param(
        f'AlgorithmError: Command "/bin/sh -c "./train.sh --token {SECRET}"", exit code: 127',
        'AlgorithmError: Command "…", exit code: 127',
        id="a shell",
    ),
    pytest.param(
        f"Invoking script with the following command:\n\n/usr/bin/python3 -u train.py {SECRET}\n\nboom",
        "Invoking script with the following command:\n\n/usr/bin/python3 -u train.py …\n\nboom",
        id="without quotes",
    ),
    pytest.param(f"torchrun --nproc 8 t.py {SECRET}\nboom", "torchrun …\nboom", id="torchrun"),
    pytest.param(f"failed: ['/opt/conda/bin/python', 'train.py', '{SECRET}']", "failed: …", id="a list"),
    pytest.param(
        f"train.py: error: unrecognized arguments: --token {SECRET}",
        "train.py: error: unrecognized arguments: …",
        id="argparse",
    ),
    pytest.param(f"cannot parse --token={SECRET}", "cannot parse …", id="one option"),
]


@pytest.mark.parametrize(("reason", "shown"), QUOTED)
def test_command_lines_are_hidden_and_the_rest_is_shown(reason: str, shown: str) -> None:
    assert hide_commands(reason) == shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different type.",
        'ClientError: Data download failed: File "s3://bucket/key-with--dashes" is empty',
        "AlgorithmError: argument --lr: invalid float value",
        "AlgorithmError: the following arguments are required: --lr, --epochs",
        "AlgorithmError: Command 'nvidia-smi' not found",
        f"AlgorithmError: {TRACEBACK}, exit code: 1",
        "AlgorithmError: can't open file 'train.py': [Errno 2] No such file or directory",
    ],
)
def test_other_text_than_command_lines_is_kept(reason: str) -> None:
    assert hide_commands(reason) == reason


@given(
    arguments=st.text(max_size=40),
    output=st.sampled_from(["", f"\n{TRACEBACK}", ", exit code: 1", "\n\nDuring handling of the above exception"]),
    head=st.sampled_from([SCRIPT, f'{SCRIPT}ExitCode 1\nErrorMessage "x"\n', ""]),
)
def test_arguments_are_hidden_in_every_quoting(arguments: str, output: str, head: str) -> None:
    command = f"/usr/bin/python3 train.py --a {arguments} --token {SECRET} {arguments}"
    assert SECRET not in hide_commands(f'{head}Command "{command}"{output}')
    assert SECRET not in hide_commands(f"{head}Command '{command}' returned non-zero exit status 1.")


@given(st.text())
def test_hiding_accepts_any_text_and_is_idempotent(text: str) -> None:
    shown = hide_commands(text)
    assert hide_commands(shown) == shown


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("AlgorithmError: ExecuteUserScriptError", "AlgorithmError"),
        ("CapacityError: Unable to provision requested ML compute capacity.", "CapacityError"),
        ("InternalServerError: We encountered an internal error.  Please try again.", "InternalServerError"),
        ("ClientError: Data download failed", "ClientError"),
        (" \nClientError : Artifact upload failed", "ClientError"),
        ("NewError: of next year", ""),
        ("exit code: 1", ""),
        ("The error was CapacityError: no", ""),
        ("CapacityError", ""),
        ("", ""),
    ],
)
def test_the_failure_class_is_sagemakers_prefix(reason: str, found: str) -> None:
    assert classify_failure(reason) == found
