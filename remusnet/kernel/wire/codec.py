"""rtnetlink as bytes, and what the bytes say: one codec for what is sent and what is read. Light.

A table of `Fields` names the attributes of one kind of object, and serves both ways. What ``tc``
and ``ip`` send for the same commands was the model: the kernel must not be able to tell them apart.
A `Template` is a message with holes: it serves many devices.

Layouts: linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/pkt_sched.h, linux/gen_stats.h,
linux/pkt_cls.h, linux/tc_act/tc_mirred.h. Numbers are in the machine's byte order.
"""

from __future__ import annotations

from _struct import Struct  # struct is a file more to read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    Field: TypeAlias = tuple[int, Callable[[Any], bytes], Callable[[bytes], Any]]

NLM_F_REQUEST, NLM_F_ACK, NLM_F_ECHO = 0x01, 0x04, 0x08
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLM_F_DUMP = 0x300
NLMSG_HEADER_FLAGS_AT, NLMSG_SEQUENCE_AT = 6, 8
_NLA_F_NESTED, _NLA_TYPE_MASK = 0x8000, 0x3FFF

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

IFLA_IFNAME, IFLA_TXQLEN, IFLA_LINKINFO, IFLA_IFALIAS = 3, 13, 18, 20
IN6_ADDR_GEN_MODE_NONE = 1
RTEXT_FILTER_SKIP_STATS = 1 << 3
IFF_UP = 1
_AF_UNSPEC, _AF_INET6 = 0, 10

TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT, TC_H_INGRESS, TC_H_MIN_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFFFFF2
INGRESS_HANDLE = 0xFFFF0000
BYPASS_CLASSID = 0xFFFF0001
TCA_ACT_KIND, TCA_ACT_OPTIONS, TCA_ACT_COOKIE = 1, 2, 6
TCA_MIRRED_PARMS, TCA_EGRESS_REDIR, TCA_EGRESS_MIRROR = 2, 1, 2
TC_ACT_PIPE, TC_ACT_STOLEN = 3, 4
PLUG_BUFFER, PLUG_RELEASE_ONE, PLUG_RELEASE_INDEFINITE, PLUG_LIMIT = 0, 1, 2, 3

HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
IFINFOMSG = Struct("=BxHiII")  # family, type, index, flags, change
TCMSG = Struct("=BxxxiIII")  # family, index, handle, parent, info
PLUG_QOPT = Struct("=iI")  # action, limit
UINT = Struct("=I")
_ATTRIBUTE = Struct("=HH")  # length, type: four bytes
_attribute_header = _ATTRIBUTE.unpack_from  # looked up once: an apply reads 50,000 attributes


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute whose payload is attributes."""
    return attribute(kind | _NLA_F_NESTED, b"".join(attributes))


def text_attribute(kind: int, text: str) -> bytes:
    """A string, terminated as the kernel wants it."""
    return attribute(kind, text.encode() + b"\0")


def attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes in ``data`` from ``at`` on, by type; what is impossible ends the walk."""
    found = {}
    end = len(data)
    while at + 4 <= end:
        length, kind = _attribute_header(data, at)
        stop = at + length
        if length < 4 or stop > end:
            break
        found[kind & _NLA_TYPE_MASK] = data[at + 4 : stop]
        at += (length + 3) & -4
    return found


class Fields:
    """The attributes of one kind of object by name: the number of each, how its payload is written,
    and how it is read.
    """

    __slots__ = ("_by_name", "_by_number")

    def __init__(self, **fields: Field) -> None:
        self._by_name = fields
        self._by_number = {
            number & _NLA_TYPE_MASK: (name, read) for name, (number, _, read) in fields.items()
        }

    def encode(self, **values: object) -> bytes:
        """Attributes, in the order of ``values``."""
        found = b""
        for name, value in values.items():
            number, write, _ = self._by_name[name]
            found += attribute(number, write(value))
        return found

    def decode(self, data: bytes, at: int = 0) -> dict[str, Any]:
        """The attributes in ``data`` from ``at`` on that have a name here."""
        found = {}
        known_by = self._by_number.get
        for number, payload in attributes(data, at).items():
            known = known_by(number)
            if known is not None:
                name, read = known
                found[name] = read(payload)
        return found


def _read_text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _read_uint(data: bytes) -> int:
    number: int = UINT.unpack_from(data)[0]
    return number


def _read_byte(data: bytes) -> int:
    return data[0]


def _write_text(text: str) -> bytes:
    return text.encode() + b"\0"


def _write_byte(number: int) -> bytes:
    return bytes((number,))


_TEXT, _BARE_TEXT = (_write_text, _read_text), (str.encode, _read_text)
_UINT, _BYTE, _BYTES = (UINT.pack, _read_uint), (_write_byte, _read_byte), (bytes, bytes)


def _numbers(number: int, form: str) -> Field:
    layout = Struct(form)
    return number, lambda values: layout.pack(*values), layout.unpack_from


def _fields(number: int, fields: Fields) -> Field:
    return number | _NLA_F_NESTED, lambda values: fields.encode(**values), fields.decode


XDP_PROGRAMS = ("program", "driver", "generic", "offloaded")
"""The fields of "xdp" below that are numbers of programs."""
LINK = Fields(
    name=(IFLA_IFNAME, *_TEXT),
    master=(10, *_UINT),
    queue=(IFLA_TXQLEN, *_UINT),
    info=_fields(IFLA_LINKINFO, Fields(kind=(1, *_TEXT))),
    alias=(IFLA_IFALIAS, *_BARE_TEXT),
    # rtnl_link_stats64: rx_packets, tx_packets, 4 more, rx_dropped.
    counters=_numbers(23, "=7Q"),
    families=_fields(26, Fields(inet6=_fields(_AF_INET6, Fields(addr_gen_mode=(8, *_BYTE))))),
    mask=(29, *_UINT),
    tx_queues=(31, *_UINT),
    rx_queues=(32, *_UINT),
    # How many are attached, and the numbers of the programs: the only one, or one for each way.
    xdp=_fields(
        43,
        Fields(
            attached=(2, *_BYTE),
            program=(4, *_UINT),
            driver=(5, *_UINT),
            generic=(6, *_UINT),
            offloaded=(7, *_UINT),
        ),
    ),
)
"""A device's, IFLA_..."""

STATS = Fields(
    basic=_numbers(1, "=QI"),  # bytes, packets
    queue=_numbers(3, "=5I"),  # qlen, backlog, drops, requeues, overlimits
    packets=_numbers(8, "=Q"),
)
"""The counters of a qdisc or an action, TCA_STATS_..."""

ACTION = Fields(
    kind=(TCA_ACT_KIND, *_TEXT),
    options=(TCA_ACT_OPTIONS, *_BYTES),
    stats=_fields(4, STATS),
    cookie=(TCA_ACT_COOKIE, *_BYTES),
)
"""A filter's action's, TCA_ACT_..."""

# index, capab, action, refcnt, bindcnt, eaction, ifindex
MIRRED = Fields(parameters=_numbers(TCA_MIRRED_PARMS, "=IIiiiiI"))
"""What a mirred action has in its options, TCA_MIRRED_..."""

QDISC = Fields(
    kind=(TCA_KIND, *_TEXT),
    options=(TCA_OPTIONS, *_BYTES),
    stats=_fields(7, STATS),
    block=(13, *_UINT),
)
"""A qdisc's, TCA_..."""


def message(kind: int, flags: int, body: bytes) -> bytes:
    """A request that the kernel acknowledges."""
    flags |= NLM_F_REQUEST | (0 if flags & NLM_F_DUMP == NLM_F_DUMP else NLM_F_ACK)
    return HEADER.pack(HEADER.size + len(body), kind, flags, 0, 0) + body


def link(index: int = 0, flags: int = 0, change: int = 0, **fields: object) -> bytes:
    """The body of a message about a device."""
    return IFINFOMSG.pack(_AF_UNSPEC, 0, index, flags, change) + LINK.encode(**fields)


def traffic_control(
    index: int, *, parent: int = 0, handle: int = 0, info: int = 0, **fields: object
) -> bytes:
    """The body of a message about a qdisc, or the beginning of one about a filter."""
    return TCMSG.pack(_AF_UNSPEC, index, handle, parent, info) + QDISC.encode(**fields)


def delete_link(index: int) -> bytes:
    """Deletes a device, with its qdiscs and all that they hold."""
    return message(RTM_DELLINK, 0, link(index))


def plug_message(index: int, action: int, limit: int = 0, *, handle: int = 0) -> bytes:
    """Tells the plug at the root of device ``index`` what to do; ``limit`` goes with LIMIT.

    Give its ``handle`` where it is known. Without, the kernel takes the message for another kind of
    root qdisc as a wish to have a plug instead, of limit 0 (net/sched/sch_api.c, req_change).
    """
    options = PLUG_QOPT.pack(action, limit)
    body = traffic_control(index, parent=TC_H_ROOT, handle=handle, kind="plug", options=options)
    return message(RTM_NEWQDISC, 0, body)


def delete_plug(index: int) -> bytes:
    """Deletes the plug at the root of a device, and what it holds."""
    return message(RTM_DELQDISC, 0, traffic_control(index, parent=TC_H_ROOT, kind="plug"))


def ingress(index: int) -> bytes:
    """The body of a message about the ingress qdisc of a device."""
    return traffic_control(index, parent=TC_H_INGRESS, handle=INGRESS_HANDLE, kind="ingress")


def delete_ingress(index: int) -> bytes:
    """Deletes the ingress qdisc of a device, and all its filters."""
    return message(RTM_DELQDISC, 0, ingress(index))


def in_flight(counters: tuple[int, ...]) -> int:
    """Frames that have left the plug of an IFB with these `LINK` counters, and that it has not
    passed on yet.

    drivers/net/ifb.c counts a frame as received when its qdisc releases it, and as transmitted
    when its tasklet takes it on; those without a device to go back to count as dropped.
    """
    received, transmitted, _, _, _, _, dropped = counters
    return received - dropped - transmitted


VIF, BUFFER, SINK, LIMIT = "V", "B", "S", "L"
"""Holes of four bytes: the numbers of the three devices, and the plug's limit."""
BUFFER_NAME, SINK_NAME, VIF_NAMES = "buffer", "sink", "vifs"
"""Holes in a text: names of devices; those of the vifs with commas between them."""
NUMBERS = (VIF, BUFFER, SINK, LIMIT)
_NOTHING = "-"
_TOGETHER, _ALONE = "+", "."


class Text:
    """An attribute with a hole: ``before`` and ``after`` stand around what ``name`` names."""

    __slots__ = ("after", "before", "kind", "name")

    def __init__(self, kind: int, before: bytes, name: str, after: bytes) -> None:
        self.kind = kind
        self.before = before
        self.name = name
        self.after = after


class Template:
    """A message of ``kind`` with ``flags``, and its body in ``parts``.

    ``harmless``: the errnos that are no failure. ``together``: whether it can be sent with the one
    before, whose answer it needs not know. ``holes``: those of `NUMBERS` that are in it.
    """

    __slots__ = ("flags", "harmless", "holes", "kind", "parts", "together")

    def __init__(
        self,
        kind: int,
        flags: int,
        parts: Sequence[bytes | str | Text],
        harmless: Sequence[int] = (),
        together: bool = False,
    ) -> None:
        self.kind = kind
        self.flags = flags
        self.parts = parts
        self.harmless = harmless
        self.together = together
        self.holes = [each for each in parts if isinstance(each, str)]

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The message with ``values`` in its holes."""
        body = b"".join(
            each
            if isinstance(each, bytes)
            else values[each]
            if isinstance(each, str)
            else attribute(each.kind, each.before + values[each.name] + each.after)
            for each in self.parts
        )
        return HEADER.pack(HEADER.size + len(body), self.kind, self.flags, 0, 0) + body

    def words(self) -> str:
        """The same as words, for a file of lines."""
        harmless = ",".join(map(str, self.harmless)) or _NOTHING
        how = _TOGETHER if self.together else _ALONE
        return " ".join([str(self.kind), str(self.flags), harmless, how, *map(_word, self.parts)])


def read_template(text: str) -> Template:
    """The template that `Template.words` wrote. Raises ValueError."""
    kind, flags, harmless, how, *words = text.split(" ")
    errnos = () if harmless == _NOTHING else tuple(map(int, harmless.split(",")))
    return Template(int(kind), int(flags), tuple(map(_part, words)), errnos, how == _TOGETHER)


def _word(part: bytes | str | Text) -> str:
    if isinstance(part, bytes):
        return part.hex()
    if isinstance(part, str):
        return part
    return f"{part.kind}:{part.before.hex()}:{part.name}:{part.after.hex()}"


def _part(word: str) -> bytes | str | Text:
    if word in NUMBERS:
        return word
    kind, colon, rest = word.partition(":")
    if not colon:
        return bytes.fromhex(word)
    before, name, after = rest.split(":")
    return Text(int(kind), bytes.fromhex(before), name, bytes.fromhex(after))
