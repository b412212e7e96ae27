"""What `remusnet.availability.kernel` is made of: how to compile, codes, and types of records.

Its cached code has the numbers of this file in it, and does not notice when they change: if you
change one, touch the kernel as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

_UNKNOWN = 1 << 40
_Function = TypeVar("_Function", bound=Callable[..., Any])

if TYPE_CHECKING:

    def jit(function: _Function) -> _Function:
        """Compile ``function``."""
        return function

    def view(address: int, dtype: object) -> Any:
        """The array of ``dtype`` at ``address``."""
else:

    def jit(function):
        """Compile ``function``; keep the code for the next process where there is a place."""
        options = {"nogil": True, "error_model": "numpy", "_nrt": False}
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return numba.njit(**options)(function)

    @intrinsic
    def view(_typing: Any, address: Any, dtype: Any) -> Any:
        """The array of ``dtype`` at ``address``.

        A run is one record, with the addresses of its arrays. To pass the arrays themselves from
        function to function costs more than what most of the functions do.
        """
        found = types.Array(dtype.dtype, 1, "C")

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            item = context.get_data_type(dtype.dtype)
            size = context.get_constant(types.intp, context.get_abi_sizeof(item))
            array = context.make_array(found)(context, builder)
            populate_array(
                array,
                data=builder.inttoptr(arguments[0], item.as_pointer()),
                shape=[context.get_constant(types.intp, _UNKNOWN)],
                strides=[size],
                itemsize=size,
                meminfo=None,
            )
            return array._getvalue()

        return found(address, dtype), generate


WHOLE: Final = np.dtype(np.int64)
SHORT: Final = np.dtype(np.int32)
REAL: Final = np.dtype(np.float64)
FLAG: Final = np.dtype(np.int8)

# What a mode's time is distributed like.
IMMEDIATE: Final = 0
EXPONENTIAL: Final = 1
LOGNORMAL: Final = 2
WEIBULL: Final = 3
UNIFORM: Final = 4
DETERMINISTIC: Final = 5
ERLANG: Final = 6
EMPIRICAL: Final = 7

ENABLING: Final = 0
AGE: Final = 1
RESAMPLE: Final = 2

# Why a run has stopped; GOOD: it did what was asked.
GOOD: Final = 0
DEAD: Final = 1
ENDLESS: Final = 2
FAILED: Final = 3
UNBOUNDED: Final = 4
GROW: Final = 5
UNKNOWN: Final = 6

# Whether firings are remembered.
NEVER: Final = 0
LEARNING: Final = 1
LEARNT: Final = 2
# Instead of a node: of what is not known yet, or is not to be remembered.
UNLEARNT: Final = -1
TOO_MUCH: Final = -2
# What a remembered firing does to a clock.
ENDS: Final = 0
HALTS: Final = 1
STARTS: Final = 2

# Operations of compiled expressions; each is followed by an argument.
CONSTANT: Final = 0
TOKENS: Final = 1
ADD: Final = 2
SUBTRACT: Final = 3
MULTIPLY: Final = 4
DIVIDE: Final = 5
FLOOR: Final = 6
MODULO: Final = 7
NEGATE: Final = 8
NOT: Final = 9
EQUAL: Final = 10
UNEQUAL: Final = 11
LESS: Final = 12
AT_MOST: Final = 13
MORE: Final = 14
AT_LEAST: Final = 15
MINIMUM: Final = 16
MAXIMUM: Final = 17
AND: Final = 18
OR: Final = 19
UNLESS: Final = 20
JUMP: Final = 21

MOST_STACK: Final = 64
RECENT: Final = 20
SCANNED: Final = 40
"""So many clocks are looked through one by one, which is faster than a tournament of them."""
MATCH: Final = 8
"""So many clocks, or winners, play a match: their times are one line of a processor's cache."""

# Pairs of names end with _end: a list in `links`, from the first to before the second.
LISTS: Final = (
    "takes",
    "change",
    "inhibitors",
    "guard",
    "timed",
    "immediate",
    "seeing",
    "counting",
)
KIND: Final = np.dtype(
    [
        ("a", np.float64),
        ("b", np.float64),
        ("weight", np.float64),
        ("priority", np.int64),
        ("kind", np.int32),
        ("memory", np.int32),
        ("infinite", np.int32),
        ("plain", np.int32),
        *((f"{name}{end}", np.int32) for name in LISTS for end in ("", "_end")),
    ],
    align=True,
)
MODE: Final = np.dtype([("like", np.int32), ("home", np.int32), ("timer", np.int32)], align=True)
MEASURE: Final = np.dtype(
    [
        ("integral", np.float64),
        ("value", np.float64),
        ("since", np.float64),
        ("changes", np.int64),
        ("code", np.int32),
        ("code_end", np.int32),
        ("truth", np.int32),
    ],
    align=True,
)
CLOCK: Final = np.dtype(
    [
        ("drawn", np.float64),
        ("serial", np.int64),
        ("mode", np.int32),
        ("state", np.int32),
    ],
    align=True,
)
SPAN: Final = np.dtype(
    [("total", np.float64), ("rest", np.float64), ("next", np.int32), ("before", np.int32)],
    align=True,
)
TIMER: Final = np.dtype(
    [("live", np.int64), ("mode", np.int32), ("head", np.int32), ("aged", np.int32)], align=True
)
FRAME: Final = np.dtype(
    [
        ("now", np.float64),
        *((name, np.int64) for name in ("live", "free", "differing", "level")),
        *((name, np.int64) for name in ("left", "born", "of")),
    ],
    align=True,
)
ARRAYS: Final = {
    "kinds": KIND,
    "modes": MODE,
    "links": SHORT,
    "numbers": REAL,
    "resampled": WHOLE,
    "measures": MEASURE,
    "marking": WHOLE,
    "renewal": WHOLE,
    "times": REAL,
    "clocks": CLOCK,
    "spans": SPAN,
    "timers": TIMER,
    "soonest": REAL,
    "winners": SHORT,
    "stages": WHOLE,
    "enabled": WHOLE,
    "flags": FLAG,
    "stamps": WHOLE,
    "touched": WHOLE,
    "looked": SHORT,
    "recent": WHOLE,
    "stack": REAL,
    "trials": WHOLE,
    "weights": REAL,
    "crossings": WHOLE,
    "frames": FRAME,
    "kept_marking": WHOLE,
    "kept_times": REAL,
    "kept_clocks": CLOCK,
    "kept_spans": SPAN,
    "kept_timers": TIMER,
    "edges": WHOLE,
    "nodes": WHOLE,
    "shares": REAL,
    "known": WHOLE,
    "seen": REAL,
}
"""A run's arrays; the record of the run has the address of each.

No run writes to the first five, which are the net's. A mode is ``like`` one of the ``kinds``, which
it shares with the modes of other modules that are built the same: their slots count from its
``home``, the modes that they look at from itself. ``plain``: so many tokens at home are all that
its enabling asks for.

``times``: when a clock rings, infinite while it does not run; the first clocks are those of modes
with one server, in the order of ``timers``. ``spans``: by clock, what is seldom needed: its
``rest`` while it keeps its age, its ``total`` time where trials are split, its neighbours in a
list. If the clocks are ``ranked``, a tournament finds the first: ``stages`` has where in
``soonest`` and ``winners`` the outcomes of each stage begin, by match. ``enabled``: immediate
modes, ascending; ``flags``: by mode, whether it is there; ``stamps``: by mode, when it was last
touched or looked at. ``trials``, ``weights``, ``crossings``: by level of `split`; ``frames`` and
what is kept: by depth of nesting.

``edges``: by remembered marking and clock, the node that its ringing leads to. ``nodes``: a choice
is how many ways, where their ``shares`` begin (the sum, then each), and a node for each; a leaf is
0, a marking, how many clocks start or stop and how many measures count, then these. ``known``:
the markings; ``seen``: by marking, each measure's value.
"""
_COUNTS = (
    *("slot_count", "mode_count", "measure_count", "timer_count", "clock_count"),
    *(
        "stage_count",
        "resampled_count",
        "enabled_count",
        "touched_count",
        "looked_count",
        "recent_count",
    ),
)
_WHOLE_FIELDS = (
    *("events", "serial", "stamp", "status", "at", "live", "free", "differing", "anew", "renewals"),
    *("cursor", "unfinished", "most_immediate", "most_tokens", "heaping"),
    *("ranked", "changed", "upset"),
    *("importance", "importance_end", "top", "level", "born", "depth"),
    *("state", "usual", "memory"),
)
RUN: Final = np.dtype(
    [
        *((name, np.float64) for name in ("now", "begun", "weight")),
        *((name, np.int64) for name in (*_WHOLE_FIELDS, *_COUNTS, *ARRAYS)),
    ],
    align=True,
)
