"""A plan encoded before its devices are there: as templates, done, and ended again. Light.

A message with holes for the numbers and names of devices serves all the vifs that get the same
filters, and, in a file, a script that has no time to encode anything: Xen's netbuf script, which
has to answer before `remusnet.kernel.change.apply` is imported. The messages come from the plan
(`remusnet.kernel.change.execute`), in its order. Wherever the kernel is not as a fresh vif leaves
it, or no longer as it was made, this gives up, and apply and remove do it the long way.
"""

from __future__ import annotations

import _socket  # socket imports enum and selectors, which takes longer than all that is done here
import binascii
import errno
import time

from remusnet.kernel.wire.codec import (
    BUFFER,
    BUFFER_NAME,
    IFINFOMSG,
    LIMIT,
    LINK,
    NLM_F_DUMP,
    NLM_F_ECHO,
    PLUG_RELEASE_INDEFINITE,
    QDISC,
    RTM_GETLINK,
    RTM_GETQDISC,
    RTM_GETTFILTER,
    SINK,
    SINK_NAME,
    TC_H_MIN_INGRESS,
    TC_H_ROOT,
    TCMSG,
    UINT,
    VIF,
    VIF_NAMES,
    Template,
    delete_ingress,
    delete_link,
    delete_plug,
    in_flight,
    link,
    message,
    plug_message,
    traffic_control,
)
from remusnet.kernel.wire.netlink import Answer, Netlink, tcx_programs
from remusnet.plan.devices import buffer_alias, sink_alias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    _T = TypeVar("_T")

_LONGEST_SECONDS = 0.2
"""Where frames take longer to leave, `remusnet.kernel.change.drain` waits, and says what it saw."""
_POLL_SECONDS = 0.0002
# A frame that another processor was just classifying may still come.
_EMPTY_LOOKS = 2


class GaveUp(Exception):
    """The kernel is not as it should be for this; what has been done so far stays."""


def protect(
    vifs: Sequence[str], buffer: str, sink: str, limit: int, templates: Sequence[Template]
) -> tuple[list[tuple[str, int, str]], dict[str, int]]:
    """Does the plan of ``templates``: ``buffer`` with a plug of ``limit`` bytes, and ``sink``, if
    not empty; then what each of ``vifs`` gets.

    Gives the name and number of each device, and what it is: ``B``, ``S``, or the `fingerprint` of
    a vif; and what a receipt notes of the plug and its device. Raises GaveUp.
    """
    try:
        with Netlink() as netlink:
            numbers = [_socket.if_nametoindex(vif) for vif in vifs]
            if any(sees_frames_first(netlink, number) for number in numbers):
                raise GaveUp
            values = {
                LIMIT: UINT.pack(limit),
                BUFFER_NAME: buffer.encode(),
                SINK_NAME: sink.encode(),
                VIF_NAMES: ",".join(vifs).encode(),
            }
            made = []
            names = {BUFFER: buffer, SINK: sink}
            for template in templates:
                if VIF in template.holes:
                    continue
                for hole in template.holes:
                    if hole not in values:
                        number = _socket.if_nametoindex(names[hole])
                        values[hole] = UINT.pack(number)
                        made.append((names[hole], number, hole))
                _do(netlink, [template], values)
            for number in numbers:
                values[VIF] = UINT.pack(number)
                for batch in _batches([each for each in templates if VIF in each.holes]):
                    _do(netlink, batch, values)
            prints = [str(fingerprint(netlink, number)) for number in numbers]
            (index,) = UINT.unpack(values[BUFFER])
            handle, _ = _root(netlink, index)
            marks = {"index": index, "handle": handle, "queue": _link(netlink, index)["queue"]}
            return [*made, *zip(vifs, numbers, prints, strict=True)], marks
    except GaveUp:
        raise
    except Exception as error:  # whatever it is, the long way says it, and mends it
        raise GaveUp from error


def end(made: Sequence[tuple[str, int, str]]) -> None:
    """Ends it: what is held leaves, then the vifs are as before and the devices of ours are gone.

    ``made``: as `protect` has given it. Raises GaveUp.
    """
    try:
        with Netlink() as netlink:
            _end(netlink, made)
    except GaveUp:
        raise
    except Exception as error:
        raise GaveUp from error


def _end(netlink: Netlink, made: Sequence[tuple[str, int, str]]) -> None:
    for name, number, _ in made:
        if _socket.if_nametoindex(name) != number:
            raise GaveUp
    vifs = [each for each in made if each[2] not in (BUFFER, SINK)]
    (index,) = [number for _, number, what in made if what == BUFFER]
    sinks = [number for _, number, what in made if what == SINK]
    names = [name for name, _, _ in vifs]
    _expect(netlink, index, buffer_alias(names), "plug")
    for sink in sinks:
        _expect(netlink, sink, sink_alias(names), "pfifo")
    if any(str(fingerprint(netlink, number)) != print_ for _, number, print_ in vifs):
        raise GaveUp
    steps = ending_order(
        opened=[plug_message(index, PLUG_RELEASE_INDEFINITE)],
        drained=[b""],
        unfiltered=[delete_ingress(number) for _, number, _ in vifs],
        deleted=[delete_plug(index), *map(delete_link, (*sinks, index))],
    )
    for step in steps:
        if step:
            _check(netlink.ask([step])[0])
        else:
            _drain(netlink, index)


def made_text(made: Sequence[tuple[str, int, str]]) -> str:
    """What `end` has to find again, in one line."""
    return " ".join(f"{name}:{number}:{what}" for name, number, what in made)


def read_made(text: str) -> list[tuple[str, int, str]]:
    """From that line. Raises ValueError."""
    words = (each.split(":") for each in text.split(" "))
    return [(name, int(number), what) for name, number, what in words]


def ending_order(
    *, opened: Iterable[_T], drained: Iterable[_T], unfiltered: Iterable[_T], deleted: Iterable[_T]
) -> tuple[_T, ...]:
    """The steps of an ending, whatever they are, in the order in which nothing is lost.

    Plugs are opened while frames still come through them: none that comes later overtakes a held
    one. What was on its way into a plug when the filters went is waited for once more.
    """
    first = (*opened, *drained)
    return (*first, *unfiltered, *first, *deleted)


def sees_frames_first(netlink: Netlink, vif: int) -> bool:
    """Whether an XDP or tcx program of somebody's may let frames of ``vif`` pass."""
    attached = _link(netlink, vif).get("xdp", {}).get("attached", 0)
    if attached:
        return True
    return bool(tcx_programs(vif))


def fingerprint(netlink: Netlink, vif: int) -> int:
    """What tells the filters of ``vif`` from others: their handles, preferences and protocols."""
    where = traffic_control(vif, parent=TC_H_MIN_INGRESS)
    found = netlink.dump(message(RTM_GETTFILTER, NLM_F_DUMP, where))
    return binascii.crc32(b"".join(body[: TCMSG.size] for _, body in found))


def exists(device: str) -> bool:
    """Whether there is such a network device."""
    try:
        return _socket.if_nametoindex(device) > 0
    except OSError:
        return False


def _batches(templates: Sequence[Template]) -> list[list[Template]]:
    """Those that go together, together."""
    batches: list[list[Template]] = []
    for each in templates:
        if batches and each.together:
            batches[-1].append(each)
        else:
            batches.append([each])
    return batches


def _do(netlink: Netlink, batch: Sequence[Template], values: Mapping[str, bytes]) -> None:
    """Sends a batch and waits for its acknowledgements: no request is two ahead."""
    answers = netlink.ask([each.fill(values) for each in batch])
    for template, answer in zip(batch, answers, strict=True):
        _check(answer, template.harmless)


def _check(answer: Answer, harmless: Sequence[int] = ()) -> None:
    if answer.error and answer.error not in harmless:
        raise GaveUp(errno.errorcode.get(answer.error, str(answer.error)))


def _expect(netlink: Netlink, index: int, alias: str, kind: str) -> None:
    """Raises GaveUp where the device or its root qdisc is not what was made."""
    if _link(netlink, index).get("alias") != alias or _root(netlink, index)[1]["kind"] != kind:
        raise GaveUp


def _drain(netlink: Netlink, index: int) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    empty = 0
    while True:
        waiting = _root(netlink, index)[1]["stats"]["queue"][0]
        empty = 0 if waiting or in_flight(_link(netlink, index)["counters"]) else empty + 1
        if empty == _EMPTY_LOOKS:
            return
        if time.monotonic() > deadline:
            raise GaveUp
        time.sleep(_POLL_SECONDS)


def _link(netlink: Netlink, index: int) -> dict[str, Any]:
    """What the kernel says of a device."""
    ((_, body), *_) = netlink.get(message(RTM_GETLINK, 0, link(index)))
    return LINK.decode(body, IFINFOMSG.size)


def _root(netlink: Netlink, index: int) -> tuple[int, dict[str, Any]]:
    """The handle of the root qdisc of a device, and what the kernel says of it."""
    # Without the echo older kernels tell of a qdisc only those who listen to all of them.
    where = traffic_control(index, parent=TC_H_ROOT)
    ((_, body), *_) = netlink.get(message(RTM_GETQDISC, NLM_F_ECHO, where))
    return TCMSG.unpack_from(body)[2], QDISC.decode(body, TCMSG.size)
