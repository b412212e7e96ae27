"""What a policy did to a guest's traffic: all that is measured of one run, and of several."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from remusnet.frames import Bools, Frames, Int64s
from remusnet.metrics.flows import SeenHazard
from remusnet.metrics.holding import NONE_HELD, HoldTimes, OutputCommit, TcpConnection
from remusnet.results.exchanges import SipTransaction
from remusnet.results.scene import ScenarioSetting, Scene
from remusnet.results.stream import Stream


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """Frames on their way through the guest's host, n of them in the order of sending.

    ``sent_ns``, ``left_ns``: int64[n]; of a dropped one, when it met the full plug. ``held``,
    ``dropped``: bool[n].
    """

    sent_ns: Int64s
    left_ns: Int64s
    held: Bools
    dropped: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One run of one policy.

    ``streams``: in order of their first packets in the recording, or of the scenario's calls.
    ``tcp``: how much later than recorded the guest's TCP frames left that were held, a pause
    included; ``connections``: the same for each connection; ``sip_udp``: the same of SIP over UDP.
    ``hazards``: of what the guest sent, where the policy lets it pass. ``suspend_ns``,
    ``commit_ns``: int64[m], on the capture's clock, or from the scenario's start. ``scene``: None
    of a replay. ``passages``: all frames of the guest; None where the run is too large to keep
    them. ``holding``: int64[k], ascending, which epochs held a frame; None where that isn't known.
    ``sip``: the SIP requests of a recording; a scene has its own.
    """

    policy: str
    streams: tuple[Stream, ...]
    tcp: HoldTimes
    connections: tuple[TcpConnection, ...]
    output_commit: OutputCommit
    suspend_ns: Int64s
    commit_ns: Int64s
    scene: Scene | None = None
    passages: Passages | None = None
    sip_udp: HoldTimes = NONE_HELD
    hazards: tuple[SeenHazard, ...] = ()
    holding: Int64s | None = None
    sip: tuple[SipTransaction, ...] = ()

    @property
    def requests(self) -> tuple[SipTransaction, ...]:
        """The SIP requests of the run, of a scenario or of a recording."""
        return self.sip if self.scene is None else self.scene.sip

    @property
    def holding_epochs(self) -> tuple[Int64s, Int64s]:
        """Suspends and commits of the epochs that held something, or of all: int64[k] each.

        A guest that is quiet for a day has some hundred thousand epochs more.
        """
        if self.holding is None:
            return self.suspend_ns, self.commit_ns
        return self.suspend_ns[self.holding], self.commit_ns[self.holding]

    def to_json(self) -> dict[str, object]:
        """One element of ``runs`` in ``simulate --json``."""
        suspends, commits = self.holding_epochs
        epochs = zip(suspends.tolist(), commits.tolist(), strict=True)
        return {
            "policy": self.policy,
            "streams": [stream.to_json() for stream in self.streams],
            "tcp": {
                "hold_ms": self.tcp.to_json(),
                "connections": [
                    {"flow": each.flow, "frames": each.frames, "hold_ms": each.hold.to_json()}
                    for each in self.connections
                ],
            },
            "sip_udp": {"hold_ms": self.sip_udp.to_json()},
            "output_commit": self.output_commit.to_json(),
            "hazards": [asdict(hazard) for hazard in self.hazards],
            "epochs": [{"suspend_ns": suspend, "commit_ns": commit} for suspend, commit in epochs],
            "quiet_epochs": len(self.suspend_ns) - len(suspends),
            "sip": [each.to_json() for each in self.requests],
            **({} if self.scene is None else self.scene.to_json()),
        }


@dataclass(frozen=True, slots=True)
class Setting:
    """What the runs have in common. ``guest``: its address; ``guest_reason``: why it was taken.

    ``capture``: what was replayed, or the scenario's name. ``scenario``: what only a scenario has,
    None of a replay. Without checkpoints ``schedule`` is ``none`` and its times are 0; where they
    vary, its times are means. ``notes``: what to know before trusting the numbers, each a sentence.
    ``live``: measured of a real program, whose clients have reacted; ``capture`` is its command.
    """

    capture: str
    guest: str
    guest_reason: str
    guest_frames: int
    schedule: str
    interval_ns: int
    pause_ns: int
    commit_delay_ns: int
    period_ns: int
    limit: int
    scenario: ScenarioSetting | None = None
    notes: tuple[str, ...] = ()
    live: bool = False

    def to_json(self) -> dict[str, object]:
        """The keys of ``simulate --json`` beside ``runs``; ``live`` of a live run only."""
        return {
            "capture": self.capture,
            "guest": {
                "address": self.guest,
                "reason": self.guest_reason,
                "frames": self.guest_frames,
            },
            "schedule": {
                "kind": self.schedule,
                "interval_ns": self.interval_ns,
                "pause_ns": self.pause_ns,
                "commit_delay_ns": self.commit_delay_ns,
                "period_ns": self.period_ns,
            },
            "limit_bytes": self.limit,
            "notes": list(self.notes),
            **({"live": True} if self.live else {}),
            **({} if self.scenario is None else {"scenario": self.scenario.to_json()}),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same traffic under several policies.

    ``recorded``: the streams of a recording as they were recorded; None of a scenario.
    ``recorded_sip``: its SIP requests.
    """

    setting: Setting
    outcomes: tuple[Outcome, ...]
    recorded: tuple[Stream, ...] | None = None
    recorded_sip: tuple[SipTransaction, ...] = ()

    def to_json(self) -> dict[str, object]:
        """All of ``simulate --json``."""
        found = {**self.setting.to_json(), "runs": [each.to_json() for each in self.outcomes]}
        if self.recorded is not None:
            found["recorded"] = {
                "streams": [stream.to_json() for stream in self.recorded],
                "sip": [each.to_json() for each in self.recorded_sip],
            }
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """The measures, and for each outcome the frames that left, in order, at their times.

    Of a scenario those that arrived, if they were kept.
    """

    comparison: Comparison
    released: tuple[Frames, ...]
