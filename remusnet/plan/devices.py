"""The devices of a protection: their names, our marks on them, and how much a plug holds. Light.

A name is one that the kernel and a shell can take.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_NAME = 15
"""IFNAMSIZ less the terminating zero (linux/if.h)."""

# Narrower than dev_valid_name() of net/core/dev.c: no option, no path, nothing a shell looks at.
_DIGITS = frozenset("0123456789")
_FIRST = _DIGITS.union("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_LATER = _FIRST.union(".-")
_XEN_VIF, _USUAL_BUFFER = "vif", "ifb-"
OWNER = "remusnet"
"""What our marks begin with: the alias of a device of ours, the cookie of an action."""
BUFFER_MARK, SINK_MARK = f"{OWNER}:", f"{OWNER}/sink:"
"""What the aliases of our devices begin with."""
COOKIE, SHARED_COOKIE = OWNER.encode("ascii"), f"{OWNER}/shared".encode("ascii")
"""The mark on the action of a filter that holds; the second where the qdisc was there before us:
only the marks say then that it has to stay.
"""
EMULATED = "-emu"
"""What libxl appends to a vif's name for the tap of a fully virtualised guest's emulated card."""


def check_device_name(name: str) -> str:
    """``name``, if a network device of ours can be called so.

    Raises InvalidInput for an empty or overlong name, and for characters outside A-Z a-z 0-9 . _ -.
    """
    if is_device_name(name):
        return name
    from remusnet.errors import InvalidInput, quoted  # here: only a failure needs it

    if not name:
        raise InvalidInput("invalid device name: it is empty")
    if len(name) > LONGEST_NAME:
        raise InvalidInput(
            f"invalid device name: {quoted(name)} has {len(name)} characters, "
            f"Linux takes at most {LONGEST_NAME}"
        )
    raise InvalidInput(
        f"invalid device name: {quoted(name)}; expected letters, digits, '.', '_' and '-', "
        "as in vif1.0 or vif1.0-emu"
    )


def is_device_name(name: str) -> bool:
    """Whether a network device of ours can be called so."""
    return 0 < len(name) <= LONGEST_NAME and name[0] in _FIRST and _LATER.issuperset(name)


def buffer_name(vif: str) -> str:
    """The buffer device of ``vif``: ``ifb-1.0`` for ``vif1.0``, ``ifb-eth0`` for ``eth0``.

    A name that would be too long, or that another vif has, is a hash behind ``ifb_``.

    >>> buffer_name("vif1.0-emu")
    'ifb-1.0-emu'
    """
    rest = vif.removeprefix(_XEN_VIF)
    numbered = rest != vif and rest[:1] in _DIGITS
    # "vif1.0" and "1.0" must not share a buffer; "vifa" keeps its prefix, so it has none of "a".
    taken = not numbered and vif[:1].isdigit()
    name = f"{_USUAL_BUFFER}{rest if numbered else vif}"
    return _hashed("ifb_", vif) if taken or len(name) > LONGEST_NAME else name


def sink_name(buffer: str) -> str:
    """The sink of ``buffer``: ``sink-1.0`` for ``ifb-1.0``, else a hash behind ``sink_``.

    >>> sink_name("ifb-1.0")
    'sink-1.0'
    """
    name = f"sink-{buffer.removeprefix(_USUAL_BUFFER)}"
    if not buffer.startswith(_USUAL_BUFFER) or len(name) > LONGEST_NAME:
        name = _hashed("sink_", buffer)
    return name


def is_emulated(vif: str) -> bool:
    """Whether ``vif`` is the tap of an emulated card, by its name: QEMU serves it, not netback."""
    return vif.endswith(EMULATED)


def buffer_alias(vifs: Iterable[str]) -> str:
    """The mark of ownership on the buffer device of ``vifs``: ``remusnet:vif1.0,vif1.0-emu``."""
    return f"{BUFFER_MARK}{','.join(vifs)}"


def sink_alias(vifs: Iterable[str]) -> str:
    """The mark of ownership on their sink: ``remusnet/sink:vif1.0,vif1.0-emu``."""
    return f"{SINK_MARK}{','.join(vifs)}"


def filter_mark(*, shared: bool) -> bytes:
    """The mark of ownership on a filter that holds; ``shared``: its qdisc was there before us."""
    return SHARED_COOKIE if shared else COOKIE


def _hashed(prefix: str, name: str) -> str:
    import hashlib  # here: few names need it

    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{prefix}{digest[: LONGEST_NAME - len(prefix)]}"


SMALLEST_LIMIT = 256 * 1024
"""Four GSO frames of 64 KiB. The kernel's own default (48 kB on an IFB) drops even the first."""

LARGEST_LIMIT = 2**32 - 1
"""``struct tc_plug_qopt`` has 32 bits for it (include/uapi/linux/pkt_sched.h)."""

MEMORY_COST = 12.5
"""Bytes of memory for each byte that a plug counts, in frames of 60 bytes, Ethernet's shortest.

sch_plug counts a frame's bytes (net/sched/sch_plug.c, plug_enqueue); the kernel pays for its
buffer, some 750 bytes whatever is in it: ``struct sk_buff``, and 512 bytes for head room, frame and
``struct skb_shared_info``.
"""

RUNT_COST = 55.0
"""The same for frames of 14 bytes, a bare Ethernet header: the least that netback and veth take."""


def memory_limit(budget: int) -> int:
    """The plug's limit for a memory budget, both in bytes: budget / 12.5, rounded down.

    >>> memory_limit(64_000_000)
    5120000
    """
    numerator, denominator = MEMORY_COST.as_integer_ratio()
    return budget * denominator // numerator


def memory_needed(limit: int, cost: float = MEMORY_COST) -> int:
    """Bytes of memory that frames of 60 bytes take where they fill ``limit``, rounded up.

    >>> memory_needed(50_000_000)
    625000000
    """
    numerator, denominator = cost.as_integer_ratio()
    return -(-limit * numerator // denominator)


def plug_limit(rate_bits: int, interval_ns: int) -> int:
    """Bytes for a plug behind a link of ``rate_bits`` a second: 2 x rate x interval, rounded up.

    Twice, since it holds the open epoch and the one that waits for its commit. Never less than
    `SMALLEST_LIMIT`, nor more than the kernel can be told (`LARGEST_LIMIT`).

    >>> plug_limit(1_000_000_000, 200_000_000)
    50000000
    """
    needed = -(-2 * rate_bits * interval_ns // (8 * 1_000_000_000))
    return min(max(needed, SMALLEST_LIMIT), LARGEST_LIMIT)


def explain_limit(
    limit: int, rate_bits: int | None, interval_ns: int | None, memory: int | None = None
) -> str:
    """Where a limit comes from, for a person: ``2 x 1gbit x 200ms``; as asked for without both.

    ``memory``: the budget in bytes that it was made from, if it was.

    >>> explain_limit(SMALLEST_LIMIT, 1_000_000, 40_000_000)
    'more than 2 x 1mbit x 40ms, for large frames'
    """
    from remusnet.units import format_duration, format_rate, format_size  # here: for people only

    if memory is not None:
        return f"{format_size(memory)} of memory / {MEMORY_COST}"
    if rate_bits is None or interval_ns is None:
        return "as asked for"
    product = f"2 x {format_rate(rate_bits)} x {format_duration(interval_ns)}"
    needed = -(-2 * rate_bits * interval_ns // (8 * 1_000_000_000))
    if limit > needed:
        return f"more than {product}, for large frames"
    return f"less than {product}, all that the kernel takes" if limit < needed else product
