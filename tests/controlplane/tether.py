"""Replaces itself by a program that ends with its parent, after any end of the parent: `tether.py PARENT PROGRAM ARG…`.

It is a program and not a preexec_fn, because a preexec_fn may deadlock in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, command: list[str]) -> None:
    """Replace this process by `command`; the death of PARENT then ends the command."""
    os.setsid()  # Ctrl-C at the terminal reaches the parent alone; the parent then stops its programs in order
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent ended before this program began")
    os.execv(command[0], command)  # execv keeps the death signal


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
