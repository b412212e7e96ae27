"""A failover, by its recordings: what the primary sent, what the backup, and what arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.xen.lab import arrivals
from tests.xen.lab.arrivals import Record

_BEFORE_NS = 30_000_000_000


@dataclass(frozen=True)
class Takeover:
    """What `jobs/failover.sh` recorded.

    A record is known by its number and by the guest's time of sending. The backup goes on from a
    checkpoint: what the primary sent after that it sends again, by the same numbers at other times.
    """

    fenced_ns: int
    """From then on the primary runs no more, and nothing drives its plug."""
    from_primary: frozenset[Record]
    from_backup: frozenset[Record]
    arrived: Sequence[tuple[int, Record]]
    announced: Sequence[int]

    @classmethod
    def read(cls, out: Path) -> Takeover:
        """From the files that the job left, up to the end of its last window.

        The captures of vif and bridge end at different times: what comes last is in one of them.
        """
        windows = arrivals.windows(out / "windows")
        end = max(edge for _, edge in windows.values())
        arrived = arrivals.sightings(out / "bridge.pcap")
        return cls(
            windows["fence"][1],
            frozenset(record for _, record in arrivals.sightings(out / "vif.pcap")),
            frozenset(record for _, record in arrivals.sightings(out / "vif-backup.pcap")),
            [each for each in arrived if each[0] <= end],
            arrivals.announcements(out / "bridge.pcap"),
        )

    def late(self) -> set[Record]:
        """What arrived after the fence and did not come from the backup: none may."""
        later = {record for time_ns, record in self.arrived if time_ns > self.fenced_ns}
        return later - self.from_backup

    def undone(self, stream: int) -> set[int]:
        """The numbers that the primary sent, and the backup then sent in another record."""
        primary, backup = (
            {each for each in sent if each.stream == stream}
            for sent in (self.from_primary, self.from_backup)
        )
        again = {each.number for each in backup - primary}
        return {each.number for each in primary - backup} & again

    def versions(self, stream: int) -> dict[int, set[int]]:
        """By number: at which of the guest's times those records were sent that arrived."""
        found: dict[int, set[int]] = {}
        for _, record in self.arrived:
            if record.stream == stream:
                found.setdefault(record.number, set()).add(record.sent_ns)
        return found

    def twice(self, stream: int) -> set[int]:
        """The numbers that arrived in two different records."""
        return {number for number, sent in self.versions(stream).items() if len(sent) > 1}

    def missing(self, stream: int) -> int:
        """How many numbers never arrived, of those from half a minute before the fence on.

        The first ones of a recording are not all in it.
        """
        begin = self.fenced_ns - _BEFORE_NS
        first = min(r.number for t, r in self.arrived if r.stream == stream and t >= begin)
        numbers = {number for number in self.versions(stream) if number >= first}
        return max(numbers) - first + 1 - len(numbers)

    def silence_s(self, stream: int) -> float:
        """From the last arrival before the fence to the first one after it."""
        times = [time_ns for time_ns, record in self.arrived if record.stream == stream]
        before = max(each for each in times if each <= self.fenced_ns)
        return (min(each for each in times if each > self.fenced_ns) - before) / 1e9

    def lines(self, streams: Sequence[tuple[str, int]]) -> list[str]:
        """A table, for a person."""
        made = [f"{'':10}{'silent (s)':>12}{'undone':>8}{'twice':>8}{'missing':>9}"]
        made += [
            f"{name:10}{self.silence_s(stream):12.1f}{len(self.undone(stream)):8}"
            f"{len(self.twice(stream)):8}{self.missing(stream):9}"
            for name, stream in streams
        ]
        later = [(each - self.fenced_ns) / 1e9 for each in self.announced]
        said = ", ".join(f"{each:.1f}" for each in later if each > 0)
        made.append(f"gratuitous ARP, seconds after the fence: {said}")
        return made
