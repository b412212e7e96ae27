"""A domain's vifs, by the name, UUID or number that libvirt knows it by.

libvirt has no call for Remus; it only says which vifs a domain has. libvirt-python is imported
when it is needed: nothing else of remusnet asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

from remusnet.defaults import LIBVIRT
from remusnet.errors import InvalidInput, MissingDependency, NotPermitted, quoted, suggestion
from remusnet.extras import how_to_install
from remusnet.plan.devices import EMULATED, check_device_name

_SYS = Path("/sys/class/net")
_XEN_VIF = re.compile(r"vif[0-9]+\.[0-9]+(-emu)?", re.ASCII)


def domain_vifs(
    word: str, uri: str = LIBVIRT, sys: Path | None = None
) -> tuple[tuple[str, ...], ...]:
    """The vifs of a running domain: a group for each network card of the guest.

    A card of an HVM guest has two devices, ``vif1.0`` and ``vif1.0-emu``: both are in its group,
    where they are there. ``word``: its number, UUID or name; ``sys``: where the system lists its
    devices, if not in /sys. Raises MissingDependency, InvalidInput or NotPermitted.
    """
    sys = sys or _SYS
    libvirt = _libvirt(sys)
    try:
        connection = libvirt.openReadOnly(uri)
    except libvirt.libvirtError as error:
        raise _no_connection(libvirt, uri, error) from None
    try:
        domain = _find(libvirt, connection, word)
        if not domain.isActive():
            raise InvalidInput(f"{quoted(word)} does not run: it has no vifs yet")
        names = tuple(_targets(domain.XMLDesc()))
    except libvirt.libvirtError as error:
        raise InvalidInput(f"libvirt ({uri}): {_text(error)}") from None
    finally:
        connection.close()
    if not names:
        raise InvalidInput(f"{quoted(word)} has no network cards that libvirt has names for")
    return tuple(dict.fromkeys(_group(name, sys) for name in names))


def running_vifs(words: Iterable[str], uri: str = LIBVIRT) -> dict[str, tuple[str, ...]]:
    """The vifs of those domains that run, by the word that names each: number, UUID or name.

    Those that don't run, and those that libvirt does not know yet, are not in it. Raises
    MissingDependency, NotPermitted, or InvalidInput.
    """
    found: dict[str, tuple[str, ...]] = {}
    libvirt = _libvirt(_SYS)
    try:
        connection = libvirt.openReadOnly(uri)
    except libvirt.libvirtError as error:
        raise _no_connection(libvirt, uri, error) from None
    try:
        for word in words:
            domain = _look_up(libvirt, connection, word)
            if domain is not None and domain.isActive():
                names = dict.fromkeys(_targets(domain.XMLDesc()))
                found[word] = tuple(each for name in names for each in _group(name, _SYS))
    except libvirt.libvirtError as error:
        raise InvalidInput(f"libvirt ({uri}): {_text(error)}") from None
    finally:
        connection.close()
    return found


def listed_vifs(sys: Path = _SYS) -> tuple[str, ...]:
    """The vifs that this system has, by Xen's own names, in their order."""
    found = (each.name for each in sys.glob("vif*") if _XEN_VIF.fullmatch(each.name))
    return tuple(sorted(found, key=lambda name: [*map(int, re.findall(r"[0-9]+", name)), name]))


def _libvirt(sys: Path) -> Any:
    try:
        import libvirt
    except ImportError:
        vifs = listed_vifs(sys)
        here = f"; vifs here: {', '.join(vifs)}" if vifs else ""
        raise MissingDependency(
            f"--domain needs libvirt-python: {how_to_install('libvirt')}, or name the vifs "
            f"themselves{here}"
        ) from None
    # It prints its errors besides raising them.
    libvirt.registerErrorHandler(lambda *_: None, None)
    return libvirt


def _look_up(libvirt: Any, connection: Any, word: str) -> Any:
    """As virsh does it: by number, then UUID, then name; None where there is no such domain."""
    by = [connection.lookupByName]
    if _is_uuid(word):
        by.insert(0, connection.lookupByUUIDString)
    if word.isascii() and word.isdecimal() and len(word) < 10:
        by.insert(0, lambda number: connection.lookupByID(int(number)))
    for look in by:
        try:
            return look(word)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    return None


def _find(libvirt: Any, connection: Any, word: str) -> Any:
    found = _look_up(libvirt, connection, word)
    if found is not None:
        return found
    names = [each.name() for each in connection.listAllDomains()]
    raise InvalidInput(
        f"no such domain: {quoted(word)}{suggestion(word, names)}; "
        + (f"libvirt has {', '.join(map(quoted, names))}" if names else "libvirt has none")
    )


def _is_uuid(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True


def _targets(xml: str) -> Iterator[str]:
    for interface in ElementTree.fromstring(xml).iterfind("./devices/interface"):
        target = interface.find("target")
        name = None if target is None else target.get("dev")
        if name:
            yield check_device_name(name)


def _group(name: str, sys: Path) -> tuple[str, ...]:
    first = name.removesuffix(EMULATED)
    both = tuple(each for each in (first, first + EMULATED) if (sys / each).exists())
    return both or (name,)


def _no_connection(libvirt: Any, uri: str, error: Any) -> Exception:
    denied = error.get_error_code() == libvirt.VIR_ERR_AUTH_FAILED
    if denied or "Permission denied" in str(error):
        return NotPermitted(f"libvirt ({uri}): {_text(error)}; run it as root")
    return MissingDependency(
        f"no connection to libvirt at {quoted(uri)}: {_text(error)}; is its daemon running "
        "(Debian: libvirt-daemon-driver-xen), and is --connect right?"
    )


def _text(error: Any) -> str:
    return " ".join(str(error).split())
