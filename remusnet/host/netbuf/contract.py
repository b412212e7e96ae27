"""How libxl calls the script, and what it expects to find afterwards. Light.

From Xen's tools/libs/light/libxl_netbuffer.c and tools/hotplug/Linux/remus-netbuf-setup:
``setup`` or ``teardown`` as argument; ``vifname``, ``XENBUS_PATH``
(``/libxl/DOMID/remus/netbuf/DEVID``) and, for a teardown, ``REMUS_IFB`` in the environment. libxl
then reads ``ifb`` below that path, and wants the root qdisc of that device to be a plug.
"""

from __future__ import annotations

from remusnet.plan.devices import EMULATED, LONGEST_NAME, is_device_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SETUP, TEARDOWN = "setup", "teardown"


class BadCall(Exception):
    """A call that libxl doesn't make; says how it differs."""


class Call:
    """One call of the script.

    ``vif``: the vif's name without ``-emu``; ``path``: below which libxl reads the outcome.
    """

    __slots__ = ("action", "devid", "domid", "path", "vif")

    def __init__(self, action: str, vif: str, path: str) -> None:
        self.action = action
        self.vif = vif.removesuffix(EMULATED)
        self.path = path
        _, _, domid, _, _, devid = path.split("/")
        self.domid, self.devid = int(domid), int(devid)

    @property
    def devices(self) -> tuple[str, ...]:
        """Both devices of an HVM guest: it sends through one of them, and libxl names only one."""
        both = (self.vif, self.vif + EMULATED)
        return tuple(each for each in both if len(each) <= LONGEST_NAME)

    @property
    def success(self) -> dict[str, str]:
        """What libxl reads where ``ifb`` is the buffer device."""
        return {f"{self.path}/hotplug-status": "connected"}


def bus_path(environment: Mapping[str, str]) -> str:
    """$XENBUS_PATH. Raises BadCall where libxl has not made it."""
    path = environment.get("XENBUS_PATH", "").rstrip("/")
    match path.split("/"):
        case ["", "libxl", domid, "remus", "netbuf", devid] if _number(domid) and _number(devid):
            return path
    raise BadCall(
        f"XENBUS_PATH is {path!a}, not /libxl/DOMID/remus/netbuf/DEVID: xl sets it, for "
        '"xl remus -N SCRIPT"'
    )


def read_call(arguments: Sequence[str], environment: Mapping[str, str]) -> Call:
    """The call that libxl makes. Raises BadCall."""
    if len(arguments) != 1 or arguments[0] not in (SETUP, TEARDOWN):
        raise BadCall(f"expected {SETUP} or {TEARDOWN} as the only argument, as xl remus gives it")
    path = bus_path(environment)
    vif = environment.get("vifname", "")
    if not is_device_name(vif):
        raise BadCall(f"vifname is {vif!a}, which can not be a vif's name")
    return Call(arguments[0], vif, path)


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10
