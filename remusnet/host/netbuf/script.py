"""``remusnet-netbuf setup|teardown``: what xl remus -N starts. Light.

Whatever goes wrong is one line on standard error, in the system's log and in xenstore
(``hotplug-error``), and an exit status that is not 0.
"""

from __future__ import annotations

import os
import sys
import time

from remusnet.host.netbuf.contract import SETUP, BadCall, bus_path, read_call
from remusnet.host.netbuf.locks import Busy, XenLock, deadline_from
from remusnet.host.netbuf.places import Places, forget_owner, owner_of
from remusnet.host.xenstore import Xenstore, domain_path
from remusnet.kernel.prepared import exists
from remusnet.plan.devices import buffer_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from remusnet.host.netbuf.contract import Call

_PROGRAM = "remusnet-netbuf"
_BAD_CALL, _BUSY, _BUG = 2, 5, 70
_LOCK = "pickifb"
_LAST_SECONDS = 36.0  # for xenstore; libxl kills the script after 40
_LONGEST_TEXT = 1024  # xenstore takes 2048 bytes, and a line has to be read


def main() -> NoReturn:
    """Run, and exit."""
    _fill_standard_descriptors()
    os.umask(0o022)  # xl's may be another, and what is written here is root's
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status of a call."""
    start = time.monotonic()
    store = Xenstore(until=start + _LAST_SECONDS)
    try:
        call = read_call(arguments, environment)
        places = Places(environment)
        if call.action == SETUP:
            _set_up(call, places, store, deadline_from(start))
        else:
            _tear_down(call, places, store, deadline_from(start))
    except BadCall as error:
        return _fail(str(error), _BAD_CALL, store, environment)
    except Busy as error:
        return _fail(str(error), _BUSY, store, environment)
    except OSError as error:
        return _fail(_said(error), _BAD_CALL, store, environment)
    except Exception as error:  # noqa: BLE001 - the last stop: libxl has to learn of it
        code = getattr(error, "exit_code", None)
        if isinstance(code, int):
            return _fail(_said(error), code, store, environment)
        sys.excepthook(type(error), error, error.__traceback__)
        what = f"this is a bug in remusnet ({type(error).__name__}: {error}); please report it"
        return _fail(what, _BUG, store, environment)
    return 0


def _set_up(call: Call, places: Places, store: Xenstore, deadline: float) -> None:
    def domain() -> tuple[str, str]:
        found = store.read(domain_path(call.domid, "name"), domain_path(call.domid, "vm"))
        # /vm/UUID. No entry of a user's can name a domain without them.
        name, vm = found or ("", "")
        return name, vm.rpartition("/")[2]

    from remusnet.host.netbuf.setup import set_up_quickly  # here: a teardown needs none of it

    warning = ""
    with XenLock(places.lock_dir, _LOCK, deadline):
        buffer = set_up_quickly(call, places, domain, deadline)
        if buffer is None:
            from remusnet.host.netbuf.full import set_up

            done = set_up(call, places, domain, deadline)
            buffer, warning = done.buffer, done.warning
    try:
        # One that an earlier attempt has left would make libxl give up.
        store.remove(f"{call.path}/hotplug-error")
        said = {f"{call.path}/remusnet-warning": _line(warning)} if warning else {}
        store.write({f"{call.path}/ifb": buffer, **said, **call.success})
    except Exception as error:
        # libxl does not know of it: it would hold the guest's output for ever.
        from remusnet.host.netbuf.full_teardown import tear_down

        try:
            tear_down(call, places, deadline)
        except Exception as second:  # noqa: BLE001 - the first is the one to mend
            error.add_note(f"and taking it back failed: {_said(second)}")
        raise
    if warning:
        _say(warning, "warning")


def _tear_down(call: Call, places: Places, store: Xenstore, deadline: float) -> None:
    """Goes on after an error, and raises the first with all the others: to stop half-way would make
    nothing better.
    """
    errors: list[Exception] = []
    try:
        for problem in _end(call, places, store, deadline):
            _say(problem, "warning")
    except Exception as error:  # noqa: BLE001 - raised below
        errors.append(error)
    try:
        store.remove(call.path, tidy=True)
    except Exception as error:  # noqa: BLE001 - raised below
        errors.append(error)
    if errors:
        for more in errors[1:]:
            errors[0].add_note(_said(more))
        raise errors[0]


def _end(call: Call, places: Places, store: Xenstore, deadline: float) -> tuple[str, ...]:
    """Tears down; returns a line for each file that it could not write."""
    from remusnet.host.netbuf.teardown import tear_down_quickly

    gone = _is_gone(call, store)
    if not gone and tear_down_quickly(call, places, deadline):
        return ()
    if not _is_anything_left(call, places):
        return ()
    from remusnet.host.netbuf.full_teardown import tear_down

    return tear_down(call, places, deadline, drop=gone)


def _is_gone(call: Call, store: Xenstore) -> bool:
    """Whether the domain was destroyed: then its backup takes over, which has not seen the last
    epoch. Its vif may still be there, since pages of held frames keep it.
    """
    try:
        return store.read(domain_path(call.domid, "name")) is None
    except Exception:  # noqa: BLE001 - a teardown has to come to its end without xenstore too
        return False


def _is_anything_left(call: Call, places: Places) -> bool:
    """Whether the long way has to look: libxl tears down twice, and after a setup that failed."""
    buffer = buffer_name(call.vif)
    if exists(buffer) or os.path.exists(f"{places.run_dir}/{buffer}.json"):
        return True
    if any(exists(each) for each in call.devices):
        return True  # their filters may be left without their buffer device
    if owner_of(places, buffer) == call.path:
        forget_owner(places, buffer)
    return False


def _fail(text: str, code: int, store: Xenstore, environment: Mapping[str, str]) -> int:
    text = _line(text)
    _say(text, "error")
    try:
        path = bus_path(environment)
        store.write({f"{path}/hotplug-error": text, f"{path}/hotplug-status": "error"})
    except Exception:  # noqa: BLE001 - what failed first is what the user has to mend, in one line
        return code
    return code


def _said(error: Exception) -> str:
    """An error in one line, with what else has failed."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}"
    return "; ".join((text, *getattr(error, "__notes__", ())))


def _say(text: str, level: str) -> None:
    import syslog

    text = f"{level}: {_line(text)}"
    syslog.openlog(_PROGRAM, syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_ERR if level == "error" else syslog.LOG_WARNING, text)
    if sys.stderr is not None:
        print(f"{_PROGRAM}: {text}", file=sys.stderr)  # noqa: T201 - xl's own log or terminal


def _line(text: str) -> str:
    """``text`` as one harmless line."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
    return text[:_LONGEST_TEXT]


def _fill_standard_descriptors() -> None:
    """Opens 0, 1 and 2 where a daemon has closed them, or pipes to the tools would be these."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return
