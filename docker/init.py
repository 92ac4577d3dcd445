"""The first process of a container: runs one command, passes signals on, buries orphans, ends as the command ends.

The kernel ignores signals that process 1 has no handler for, and gives it every orphan. A service shall not care.

    python -I init.py COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import os
import signal
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(command: list[str]) -> int:
    """Runs the command in a child; its exit code, or 128 and the number of the signal that ended it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # none is lost before there is somebody to pass it to
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        os.execvp(command[0], command)
    for number in PASSED_ON:
        signal.signal(number, lambda received, _: os.kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
