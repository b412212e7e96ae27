"""BPF that takes IP packets apart as `remusnet.classify.headers` does, into registers.

Whatever is odd jumps to the label ``hold``; a load beyond the frame ends the program, and that
means hold too. Only what rules ask for is read.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from remusnet.classify.bpf.assembler import Assembler, Op
from remusnet.classify.bpf.conditions import (
    HIDDEN,
    LATER_BITS,
    NO_PAYLOAD,
    OUT_OF_SIGHT,
    Field,
    Register,
)
from remusnet.classify.bpf.payload import emit_payload
from remusnet.classify.headers import (
    AH,
    DESTINATION_OPTIONS,
    EXTENSION_HEADERS,
    FRAGMENT,
    HOP_BY_HOP,
    MOST_EXTENSION_HEADERS,
    ROUTING,
)
from remusnet.policy.policy import (
    ICMP,
    ICMPV6,
    PORT_PROTOCOLS,
    UDP,
)

_PORTS = frozenset({Register.SOURCE_PORT, Register.DESTINATION_PORT})
_TRANSPORT = _PORTS | {Register.ICMP_TYPE, Register.PAYLOAD}


@dataclass(frozen=True, slots=True)
class NetworkCode:
    """How one IP version is read: ``version`` 4 or 6, and what rules ask of it."""

    version: int
    asked: Set[Register | Field]

    @property
    def walked(self) -> Set[int]:
        """The headers between the network header and the transport header."""
        return EXTENSION_HEADERS if self.version == 6 else frozenset({AH})

    @property
    def fragments(self) -> bool:
        """Whether FRAGMENT is read: what lies behind depends on it."""
        return bool(self.asked & (_TRANSPORT | {Register.FRAGMENT}))

    def name(self, label: str) -> str:
        """A label of this version's own."""
        return f"ipv{self.version}.{label}"

    def emit(self, code: Assembler) -> None:
        """Dissects the packet at X, to the label ``ipvN.rules``, which the caller puts behind."""
        if any(isinstance(each, Field) for each in self.asked):
            code.emit(Op.STORE_X, Register.NETWORK)
        if self.version == 4:
            self._emit_ipv4(code)
        else:
            self._emit_ipv6(code)
        self._emit_chain(code)
        self._emit_hidden(code)
        self._emit_transport(code)

    def _emit_ipv4(self, code: Assembler) -> None:
        """Finds PROTOCOL, and TRANSPORT for all but AH, whose chain begins with A."""
        code.emit(Op.LOAD_BYTE_AT_X, 0)
        code.branch(Op.IF_AT_LEAST, 0x45, no="hold")
        code.branch(Op.IF_GREATER, 0x4F, yes="hold")
        code.emit(Op.AND, 0x0F)
        code.emit(Op.SHIFT_LEFT, 2)
        code.emit(Op.ADD_X)
        code.emit(Op.STORE, Register.TRANSPORT)
        if Register.PAYLOAD in self.asked:
            code.emit(Op.LOAD_HALF_AT_X, 2)
            code.emit(Op.ADD_X)
            code.emit(Op.STORE, Register.END)
        if self.fragments:
            code.emit(Op.LOAD_HALF_AT_X, 6)
            code.emit(Op.AND, 0x3FFF)
            code.emit(Op.STORE, Register.FRAGMENT)
        code.emit(Op.LOAD_BYTE_AT_X, 9)
        code.emit(Op.STORE, Register.PROTOCOL)
        code.branch(Op.IF_EQUAL, AH, yes=self.name("ah"))
        code.emit(Op.LOAD_X_MEMORY, Register.TRANSPORT)
        code.emit(Op.LOAD_BYTE_AT_X, -1)  # the last byte of the header is there
        code.jump(self.name("transport"))
        code.label(self.name("ah"))
        code.emit(Op.LOAD_HALF_AT_X, 6)
        code.emit(Op.AND, LATER_BITS[4])
        code.emit(Op.STORE, Register.SCRATCH)
        code.emit(Op.LOAD_X_MEMORY, Register.TRANSPORT)
        code.emit(Op.LOAD_BYTE_AT_X, -1)
        code.emit(Op.LOAD_MEMORY, Register.SCRATCH)
        code.branch(Op.IF_EQUAL, 0, no=self.name("hidden"))
        code.emit(Op.LOAD, AH)

    def _emit_ipv6(self, code: Assembler) -> None:
        """Makes PROTOCOL and A the first next header, and puts X behind the header."""
        code.emit(Op.LOAD_BYTE_AT_X, 0)
        code.branch(Op.IF_AT_LEAST, 0x60, no="hold")
        code.branch(Op.IF_AT_LEAST, 0x70, yes="hold")
        if Register.PAYLOAD in self.asked:
            code.emit(Op.LOAD_HALF_AT_X, 4)
            code.emit(Op.ADD_X)
            code.emit(Op.ADD, 40)
            code.emit(Op.STORE, Register.END)
        if self.fragments:
            code.emit(Op.LOAD, 0)
            code.emit(Op.STORE, Register.FRAGMENT)
        code.advance_x(40)
        code.emit(Op.LOAD_BYTE_AT_X, -1)
        code.emit(Op.LOAD_BYTE_AT_X, 6 - 40)
        code.emit(Op.STORE, Register.PROTOCOL)

    def _emit_chain(self, code: Assembler) -> None:
        """Walks AH and extension headers, as often as a frame may have them.

        Before each, A and PROTOCOL say what it is, and X where it starts.
        """
        done = self.name("chain-done")
        for number in range(1, MOST_EXTENSION_HEADERS + 1):
            self._emit_extension(code, self.name(f"extension{number}"), done)
        code.branch_among(self.walked, yes="hold", no=done)
        code.label(done)
        code.jump(self.name("transport"))

    def _emit_extension(self, code: Assembler, name: str, done: str) -> None:
        options, after = f"{name}.options", f"{name}.after"
        fragment, ah = f"{name}.fragment", f"{name}.ah"
        if self.version == 6:
            code.branch(Op.IF_EQUAL, HOP_BY_HOP, yes=options)
            # TCP and UDP are below all others: they leave at once.
            code.branch(Op.IF_AT_LEAST, ROUTING, no=done)
            code.branch(Op.IF_EQUAL, ROUTING, yes=options)
            code.branch(Op.IF_EQUAL, DESTINATION_OPTIONS, yes=options)
            code.branch(Op.IF_EQUAL, FRAGMENT, yes=fragment)
        code.branch(Op.IF_EQUAL, AH, yes=ah, no=done)
        if self.version == 6:
            code.label(options)
            self._emit_next(code)
            code.emit(Op.LOAD_BYTE_AT_X, 1)
            code.emit(Op.ADD, 1)
            code.emit(Op.SHIFT_LEFT, 3)
            code.jump(after)
            code.label(fragment)
            self._emit_fragment(code)
            code.jump(after)
        code.label(ah)
        self._emit_next(code)
        code.emit(Op.LOAD_BYTE_AT_X, 1)
        code.branch(Op.IF_EQUAL, 0, yes="hold")  # below 12 bytes
        code.emit(Op.ADD, 2)
        code.emit(Op.SHIFT_LEFT, 2)
        code.label(after)
        code.emit(Op.ADD_X)
        code.emit(Op.X_FROM_A)
        code.emit(Op.LOAD_BYTE_AT_X, -1)  # its last byte is there
        code.emit(Op.LOAD_MEMORY, Register.PROTOCOL)

    def _emit_next(self, code: Assembler) -> None:
        code.emit(Op.LOAD_BYTE_AT_X, 0)
        code.emit(Op.STORE, Register.PROTOCOL)

    def _emit_fragment(self, code: Assembler) -> None:
        """A later fragment leaves the chain: what follows is of unknown meaning."""
        whole = code.fresh("whole")
        code.emit(Op.LOAD_BYTE_AT_X, 7)
        self._emit_next(code)
        code.emit(Op.LOAD_HALF_AT_X, 2)
        code.branch(Op.IF_ANY_BIT, LATER_BITS[6], yes=self.name("later"))
        if self.fragments:
            code.branch(Op.IF_ANY_BIT, 1, no=whole)
            code.emit(Op.LOAD, 1)
            code.emit(Op.STORE, Register.FRAGMENT)
            code.label(whole)
        code.emit(Op.LOAD, 8)

    def _emit_hidden(self, code: Assembler) -> None:
        """Later fragments: the protocol is known only if no header stands before it."""
        if self.version == 6:
            code.label(self.name("later"))
            if self.fragments:
                code.emit(Op.STORE, Register.FRAGMENT)
            code.emit(Op.LOAD_MEMORY, Register.PROTOCOL)
            code.branch_among(self.walked, yes=self.name("hidden"), no=self.name("transport"))
        code.label(self.name("hidden"))
        code.emit(Op.LOAD, HIDDEN)
        code.emit(Op.STORE, Register.PROTOCOL)
        self._emit_unknown(code, OUT_OF_SIGHT)
        code.jump(self.name("rules"))

    def _emit_unknown(self, code: Assembler, payload: int) -> None:
        wanted = sorted(each for each in self.asked & _TRANSPORT if isinstance(each, Register))
        others = [each for each in wanted if each is not Register.PAYLOAD]
        if others:
            code.emit(Op.LOAD, OUT_OF_SIGHT)
        for each in others:
            code.emit(Op.STORE, each)
        if Register.PAYLOAD in wanted:
            code.emit(Op.LOAD, payload)
            code.emit(Op.STORE, Register.PAYLOAD)

    def _emit_transport(self, code: Assembler) -> None:
        """X is where the transport header starts, but for a later fragment."""
        code.label(self.name("transport"))
        if not self.asked & _TRANSPORT:
            return
        self._emit_unknown(code, NO_PAYLOAD)
        rules = self.name("rules")
        code.emit(Op.LOAD_MEMORY, Register.FRAGMENT)
        code.branch(Op.IF_ANY_BIT, LATER_BITS[self.version], yes=rules)
        code.emit(Op.LOAD_MEMORY, Register.PROTOCOL)
        ports, udp = self.name("ports"), self.name("udp")
        if self.asked & (_PORTS | {Register.PAYLOAD}):
            code.branch(Op.IF_EQUAL, UDP, yes=udp)
        if Register.ICMP_TYPE in self.asked:
            icmp = self.name("icmp")
            code.branch(Op.IF_EQUAL, ICMP, yes=icmp)
            code.branch(Op.IF_EQUAL, ICMPV6, yes=icmp)
        if self.asked & _PORTS:
            code.branch_among(PORT_PROTOCOLS - {UDP}, yes=ports, no=rules)
            code.label(ports)
            _emit_room(code, 4, no=rules)
            self._emit_ports(code)
        code.jump(rules)
        if Register.ICMP_TYPE in self.asked:
            code.label(icmp)
            _emit_room(code, 1, no=rules)
            code.emit(Op.LOAD_BYTE_AT_X, 0)
            code.emit(Op.STORE, Register.ICMP_TYPE)
            code.jump(rules)
        if self.asked & (_PORTS | {Register.PAYLOAD}):
            code.label(udp)
            self._emit_udp(code)

    def _emit_ports(self, code: Assembler) -> None:
        code.emit(Op.LOAD_HALF_AT_X, 0)
        code.emit(Op.STORE, Register.SOURCE_PORT)
        code.emit(Op.LOAD_HALF_AT_X, 2)
        code.emit(Op.STORE, Register.DESTINATION_PORT)

    def _emit_udp(self, code: Assembler) -> None:
        rules = self.name("rules")
        if Register.PAYLOAD not in self.asked:
            _emit_room(code, 4, no=rules)
            self._emit_ports(code)
            return
        whole = self.name("udp-first-fragment")
        code.emit(Op.LOAD_MEMORY, Register.FRAGMENT)
        code.branch(Op.IF_EQUAL, 0, no=whole)
        code.emit(Op.LOAD, OUT_OF_SIGHT)
        code.emit(Op.STORE, Register.PAYLOAD)
        code.label(whole)
        _emit_room(code, 4, no=rules)
        self._emit_ports(code)
        code.emit(Op.LOAD_MEMORY, Register.FRAGMENT)
        code.branch(Op.IF_EQUAL, 0, no=rules)
        _emit_room(code, 8, no=rules)
        emit_payload(code, done=rules)


def _emit_room(code: Assembler, size: int, *, no: str) -> None:
    """Goes to ``no`` unless the frame has ``size`` bytes from X on. It has 14, so no wrap."""
    code.emit(Op.LOAD_LENGTH)
    code.emit(Op.SUBTRACT, size)
    code.branch(Op.IF_AT_LEAST_X, no=no)
