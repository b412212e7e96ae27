"""Running what a file of the user's own decides, in a process of its own with bounds.

Nothing inside a process can stop it for sure: one multiplication can take all of the memory, one
power all of the time. The child gets the call by pickle, from its parent only.
"""

from __future__ import annotations

import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from remusnet.errors import InvalidInput

LARGEST_ANSWER = 64 << 20
MEMORY = 192 << 20
"""Bytes on top of what Python and remusnet take."""
_CHILD = "import sys; sys.path[:] = {path!r}; from remusnet.host.bounded import answer; answer()"
_FINE, _MISTAKE, _TOO_LARGE = b"=", b"!", b"+"


def bounded(call: Callable[..., str], *arguments: object, seconds: int, what: str) -> str:
    """``call(*arguments)``, by a process that may take ``seconds`` of processor time.

    ``call`` is a function of a module, and the arguments can be pickled. Raises InvalidInput as
    ``call`` does, and beginning with ``what`` where it takes too much time or memory, or answers
    more than `LARGEST_ANSWER` bytes.
    """
    path = [each or str(Path.cwd()) for each in sys.path]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(path=path)],
        input=pickle.dumps((call, arguments, seconds)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    kind, text = done.stdout[:1], done.stdout[1:]
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise InvalidInput(f"{what}: takes more than {seconds} s")
    if done.returncode or kind not in (_FINE, _MISTAKE, _TOO_LARGE):
        raise InvalidInput(f"{what}: takes more than {MEMORY >> 20} MiB of memory")
    if kind == _TOO_LARGE:
        raise InvalidInput(f"{what}: writes more than {LARGEST_ANSWER >> 20} MiB")
    if kind == _MISTAKE:
        raise InvalidInput(text.decode())
    return text.decode()


def answer() -> None:
    """The child: reads the call from standard input, writes what it comes to."""
    # A limit that nothing in the child can raise again. Python takes processor time to start, too.
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    call, arguments, seconds = pickle.load(sys.stdin.buffer)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + spent, seconds + spent + 1))
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = taken * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        data = _FINE + call(*arguments).encode()
    except InvalidInput as error:
        data = _MISTAKE + str(error).encode()
    if len(data) > LARGEST_ANSWER:
        data = _TOO_LARGE
    sys.stdout.buffer.write(data)
