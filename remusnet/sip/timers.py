"""RFC 3261's timers (table 4), all in proportion to T1, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """``t1``: an estimate of the round-trip time; the other timers scale with it."""

    t1: float = 0.5

    @property
    def t2(self) -> float:
        """The longest interval between retransmissions of non-INVITE requests and responses."""
        return 8 * self.t1

    @property
    def t4(self) -> float:
        """How long a message may stay in the network."""
        return 10 * self.t1

    @property
    def transaction(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1

    @property
    def d(self) -> float:
        """Timer D over an unreliable transport: more than 32 s, where T1 is 500 ms."""
        return 65 * self.t1

    @property
    def c(self) -> float:
        """Timer C of a proxy: more than 3 minutes, where T1 is 500 ms (16.6, 16.8)."""
        return 362 * self.t1

    @property
    def late(self) -> float:
        """When a client's Timer E has come to T2: a non-INVITE gets a 100 then (RFC 4320, 4.1)."""
        return 7 * self.t1

    @property
    def orphaned(self) -> float:
        """Longer than any INVITE is silent: ten contacts that ring one after the other (16.8)."""
        return 12 * (self.c + 2 * self.transaction)
