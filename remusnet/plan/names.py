"""Device names: which the kernel and a shell can take, and what ours are called. Light."""

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
"""What our marks begin with: the alias of a buffer device, the cookie of an action."""
BUFFER_MARK, SINK_MARK = f"{OWNER}:", f"{OWNER}/sink:"
"""What the aliases of our devices begin with."""
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


def _hashed(prefix: str, name: str) -> str:
    import hashlib  # here: few names need it

    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{prefix}{digest[: LONGEST_NAME - len(prefix)]}"
