"""Becomes another program that ends when its parent does, however the parent ends: `tether.py PARENT PROGRAM ARG…`.

A program of its own rather than a preexec_fn, which may deadlock in a process that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, command: list[str]) -> None:
    """Replace this process by `command`; PARENT's death is then the command's."""
    os.setsid()  # Ctrl-C at the terminal reaches the parent alone, which then stops its programs in order
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent ended before this program began")
    os.execv(command[0], command)  # execv keeps the death signal


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
