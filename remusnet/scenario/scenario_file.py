"""A scenario from the text of a TOML file, or every mistake in it at once.

The format is described in ``docs/reference/scenario-file.md``; traffic is read by
`remusnet.scenario.traffic_file`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from remusnet.defaults import COMMIT_DELAY_NS, INTERVAL_NS, PAUSE_NS, RATE_BITS
from remusnet.errors import suggestion
from remusnet.plan.devices import LARGEST_LIMIT, plug_limit
from remusnet.policy.policy import NAME
from remusnet.policy.presets import PRESETS
from remusnet.scenario.extent import (
    all_calls,
    all_exchanges,
    all_packets,
    largest_frame,
    most_packets,
)
from remusnet.scenario.quantity import NS_PER_S, Constant, read_quantity
from remusnet.scenario.scenario import (
    BufferKind,
    Checkpointing,
    Client,
    Failure,
    FailureKind,
    Host,
    Network,
    Scenario,
)
from remusnet.scenario.traffic_file import MOST_CALLS, read_traffic
from remusnet.schedule import MOST_CHECKPOINTS, ScheduleKind
from remusnet.tables.documents import parse
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import Mistake, MistakenFile, shown
from remusnet.tcp.stack import LINUX, Congestion, Stack
from remusnet.units import format_duration

MS = 1_000_000
LONGEST_RUN_NS = 366 * 24 * 3600 * NS_PER_S
MOST_PACKETS = 1 << 25
"""Of one stream: what its gaps take (256 MiB) is the most memory that a run needs at once."""
MOST_EXCHANGES = 1 << 16
"""Of all groups: each is an object that lives as long as the run."""
MOST_PACKETS_IN_ALL = 1 << 30
"""Of all streams: some hours of a processor."""
FIGURES = ("fig8", "fig9", "fig10", "fig11", "fig12")


class ScenarioFileError(MistakenFile):
    """A scenario file with mistakes."""


def load(text: str, origin: str) -> Scenario:
    """The scenario that ``text`` describes; ``origin`` is its file's name, for messages.

    Raises ScenarioFileError with every mistake that it has.
    """
    return of_tables(tables(text, origin), origin)


def tables(text: str, origin: str) -> dict[str, Any]:
    """The tables of ``text``, unread. Raises ScenarioFileError where it is no TOML."""
    found = parse(text)
    if isinstance(found, Mistake):
        raise ScenarioFileError(origin, (found,))
    return found


def of_tables(tables: dict[str, Any], origin: str) -> Scenario:
    """As `load`, of `tables`."""
    mistakes: list[Mistake] = []
    scenario = _scenario(Fields(tables, "", mistakes))
    if not mistakes:
        mistakes += impossible(scenario)
    if mistakes:
        raise ScenarioFileError(origin, tuple(mistakes))
    return scenario


def _scenario(fields: Fields) -> Scenario:
    name = fields.text("name", None, "a name", most=64)
    if name and not NAME.fullmatch(name):
        fields.mistake("name", f"invalid name: {shown(name)}", "letters, digits, dots, - and _")
    checkpointing = _checkpointing(fields.inner("checkpoint"))
    interval_ns = checkpointing.interval_ns if checkpointing else INTERVAL_NS
    figure = fields.one_of("figure", FIGURES[0], FIGURES) if fields.has("figure") else None
    scenario = Scenario(
        name=name,
        description=fields.text("description", "", "one line of at most 500 characters"),
        assumptions=fields.texts("assumptions", "a list of sentences"),
        seed=fields.whole("seed", 0, least=0, most=2**63 - 1),
        duration_ns=fields.duration("duration", None, least=MS, most=LONGEST_RUN_NS),
        figure=figure,
        policies=_policies(fields),
        checkpointing=checkpointing,
        host=_host(fields, interval_ns),
        network=_network(fields.inner("network")),
        failure=_failure(fields.inner("failure")),
        client=_client(fields.inner("client")),
        guest_tcp=_stack(fields.inner("guest-tcp")),
        peer_tcp=_stack(fields.inner("peer-tcp")),
    )
    scenario = read_traffic(fields, scenario)
    fields.finish()
    return scenario


def _policies(fields: Fields) -> tuple[str, ...]:
    names = fields.texts("policies", "names of shipped policies, or paths of policy files")
    for number, name in enumerate(names, start=1):
        if "/" not in name and not name.endswith(".toml") and name not in PRESETS:
            problem = f"unknown policy: {shown(name)}{suggestion(name, PRESETS)}"
            expected = f"one of {', '.join(PRESETS)}, or a path"
            fields.mistake("policies", problem, expected, number)
        if name in names[: number - 1]:
            fields.mistake("policies", f"{shown(name)} is there twice", "each once", number)
    return names


def _checkpointing(fields: Fields | None) -> Checkpointing | None:
    if fields is None:
        return None
    kind = fields.word("schedule", ScheduleKind.XL, ScheduleKind)
    pause = read_quantity(fields, "pause", PAUSE_NS)
    transfer = read_quantity(fields, "transfer", 0)
    delay = read_quantity(fields, "commit-delay", COMMIT_DELAY_NS)
    first_ns = fields.duration("first", 0) if fields.has("first") else None
    if fields.has("period") and fields.has("interval"):
        fields.mistake("period", "beside an interval", "one of the two")
    if fields.has("period"):
        interval_ns = _interval_of(fields, kind, (pause, transfer, delay))
        fields.duration("interval", INTERVAL_NS, least=1)
    else:
        interval_ns = fields.duration("interval", INTERVAL_NS, least=1)
    fields.finish()
    return Checkpointing(kind, interval_ns, pause, transfer, delay, first_ns)


def _interval_of(fields: Fields, kind: ScheduleKind, steps: tuple[object, ...]) -> int:
    """The interval that makes the period what the file says, whatever the schedule."""
    period_ns = fields.duration("period", None, least=1)
    fixed = [step.ns for step in steps if isinstance(step, Constant)]
    busy_ns = sum(fixed)
    if len(fixed) < len(steps):
        if kind is ScheduleKind.XL:
            problem = "no period is fixed where pause, transfer or commit-delay vary under xl"
            fields.mistake("period", problem, 'an interval, or schedule = "xend"')
    elif busy_ns >= period_ns:
        problem = (
            f"pause, transfer and commit-delay take {format_duration(busy_ns)}, "
            f"longer than the period of {format_duration(period_ns)}"
        )
        fields.mistake("period", problem, f"more than {format_duration(busy_ns)}")
        return INTERVAL_NS
    return kind.interval_ns(period_ns, busy_ns)


def _host(top: Fields, interval_ns: int) -> Host:
    guest = top.inner("guest") or Fields({}, "guest", top.mistakes)
    vif = top.inner("vif") or Fields({}, "vif", top.mistakes)
    default = plug_limit(vif.rate("rate", RATE_BITS), interval_ns)
    host = Host(
        limit=vif.size("limit", default, least=1, most=LARGEST_LIMIT),
        jitter_ns=guest.duration("jitter", 0, most=NS_PER_S),
        ring_slots=vif.whole("ring", 256, least=1, most=1 << 16) if vif.has("ring") else None,
    )
    guest.finish()
    vif.finish()
    return host


def _network(fields: Fields | None) -> Network:
    if fields is None:
        return Network()
    network = Network(
        delay_ns=fields.duration("delay", 0, most=60 * NS_PER_S),
        jitter_ns=fields.duration("jitter", 0, most=60 * NS_PER_S),
        loss_percent=fields.number("loss", 0.0, least=0.0, most=100.0),
        loss_burst=fields.number("loss-burst", 1.0, least=1.0, most=100.0),
        rate=fields.rate("rate", None) if fields.has("rate") else None,
        queue=(
            fields.whole("queue", None, least=1, most=1_000_000) if fields.has("queue") else None
        ),
        reorder=fields.flag("reorder", False),
    )
    if network.queue is not None and network.rate is None and not fields.has("rate"):
        fields.mistake("queue", "without a rate", 'rate = "100mbit" beside it')
    fields.finish()
    return network


def _stack(fields: Fields | None) -> Stack:
    """One side's TCP, as a Linux that was told nothing, but for what is there."""
    if fields is None:
        return LINUX
    stack = Stack(
        congestion=fields.word("congestion", LINUX.congestion, Congestion),
        hystart=fields.flag("hystart", LINUX.hystart),
        slow_start_after_idle=fields.flag("slow-start-after-idle", LINUX.slow_start_after_idle),
        timestamps=fields.flag("timestamps", LINUX.timestamps),
        sack=fields.flag("sack", LINUX.sack),
        frto=fields.flag("frto", LINUX.frto),
        tail_loss_probe=fields.flag("tail-loss-probe", LINUX.tail_loss_probe),
        nagle=fields.flag("nagle", LINUX.nagle),
        autocorking=fields.flag("autocorking", LINUX.autocorking),
        delayed_ack=fields.flag("delayed-ack", LINUX.delayed_ack),
        initial_window=fields.whole("initial-window", LINUX.initial_window, least=1, most=1000),
    )
    fields.finish()
    return stack


def _failure(fields: Fields | None) -> Failure | None:
    if fields is None:
        return None
    kind = fields.word("kind", FailureKind.DEATH, FailureKind)
    if fields.has("stale") and kind is not FailureKind.SPLIT_BRAIN:
        fields.mistake("stale", "a primary that died sends nothing", 'kind = "split-brain"')
    failure = Failure(
        kind=kind,
        at_ns=fields.duration("at", None, most=LONGEST_RUN_NS),
        detection_ns=fields.duration("detection", 500 * MS),
        arp_ns=fields.duration("arp", 0),
        switch_ns=fields.duration("switch", 0),
        rollback=fields.flag("rollback", True),
        stale_ns=fields.duration("stale", 0 if kind is FailureKind.DEATH else NS_PER_S),
    )
    fields.finish()
    return failure


def _client(fields: Fields | None) -> Client:
    if fields is None:
        return Client()
    plain = Client()
    client = Client(
        kind=fields.word("jitter-buffer", plain.kind, BufferKind),
        delay_ns=fields.duration("delay", plain.delay_ns, most=10 * NS_PER_S),
        least_ns=fields.duration("least", plain.least_ns, most=10 * NS_PER_S),
        most_ns=fields.duration("most", plain.most_ns, most=10 * NS_PER_S),
        loss_robustness=(
            fields.number("loss-robustness", 1.0, least=1.0, most=100.0)
            if fields.has("loss-robustness")
            else None
        ),
    )
    if client.least_ns > client.most_ns:
        fields.mistake("least", "more than most", "a time no longer than most")
    elif client.kind is BufferKind.ADAPTIVE:
        if not client.least_ns <= client.delay_ns <= client.most_ns:
            between = f"{format_duration(client.least_ns)} to {format_duration(client.most_ns)}"
            fields.mistake("delay", "where the buffer begins is out of its bounds", between)
    fields.finish()
    return client


def impossible(scenario: Scenario) -> list[Mistake]:
    """Combinations that no run could do, of values that are right by themselves."""
    found = []
    remus, end_ns = scenario.checkpointing, scenario.duration_ns
    biggest = largest_frame(scenario)
    if biggest is None:
        found.append(Mistake("", "no traffic", "[[calls]], [[sip]], [[tcp]], [[captures]] or more"))
    elif remus is not None and scenario.host.limit < biggest:
        problem = f"a plug of {scenario.host.limit} bytes holds no frame of {biggest}: it drops all"
        found.append(Mistake("vif.limit", problem, f"at least {biggest}, or none for the default"))
    if remus is not None:
        found += _no_time_to_run(remus)
        if end_ns // remus.mean_period_ns > MOST_CHECKPOINTS:
            problem = f"more than {MOST_CHECKPOINTS} checkpoints in {format_duration(end_ns)}"
            found.append(Mistake("duration", problem, "a shorter run, or a longer interval"))
    if most_packets(scenario) > MOST_PACKETS:
        problem = f"a stream of more than {MOST_PACKETS} packets"
        found.append(Mistake("duration", problem, "a shorter run of more calls"))
    found += _too_much(scenario)
    if scenario.failure is not None:
        if remus is None:
            found.append(Mistake("failure", "nobody takes over without Remus", "[checkpoint]"))
        if scenario.failure.at_ns >= end_ns:
            problem = f"fails at {format_duration(scenario.failure.at_ns)}, after the end"
            found.append(Mistake("failure.at", problem, f"before {format_duration(end_ns)}"))
    return found


def _too_much(scenario: Scenario) -> list[Mistake]:
    """What each group may have by itself, all groups together may not."""
    found = []
    for key, count, most, what in (
        ("calls", all_calls(scenario), MOST_CALLS, "calls"),
        ("sip, tcp, dns, icmp", all_exchanges(scenario), MOST_EXCHANGES, "of them"),
        ("duration", all_packets(scenario), MOST_PACKETS_IN_ALL, "packets"),
    ):
        if count > most:
            found.append(Mistake(key, f"{count} {what} in all groups", f"at most {most}"))
    return found


def _no_time_to_run(remus: Checkpointing) -> list[Mistake]:
    """A guest that stands all the time."""
    pause_ns, period_ns = remus.pause.mean_ns, remus.mean_period_ns
    if pause_ns < period_ns:
        return []
    problem = (
        f"the guest would never run: it pauses for {format_duration(pause_ns)} "
        f"in every {format_duration(period_ns)}"
    )
    return [Mistake("checkpoint.pause", problem, "a pause shorter than the period")]


def overridden(
    scenario: Scenario, *, calls: int | None, duration_ns: int | None, seed: int | None
) -> Scenario:
    """``scenario`` with as many calls in all, as long, with another seed; None leaves it.

    Several groups of calls share the new number as they shared the old one.

    Raises ScenarioFileError where the scenario is impossible then, or has no calls to count.
    """
    if calls is not None and not scenario.calls:
        nothing = Mistake("--calls", "the scenario has no calls", "[[calls]] in it")
        raise ScenarioFileError(scenario.name, (nothing,))
    if calls is not None:
        shares = _shares([group.count for group in scenario.calls], calls)
        groups = zip(scenario.calls, shares, strict=True)
        # A group that gets none has no calls, not none that are simulated.
        counted = tuple(replace(group, count=share) for group, share in groups if share)
        scenario = replace(scenario, calls=counted)
    if duration_ns is not None:
        if not MS <= duration_ns <= LONGEST_RUN_NS:
            limits = f"{format_duration(MS)} to {format_duration(LONGEST_RUN_NS)}"
            wrong = f"out of range: {format_duration(duration_ns)}"
            raise ScenarioFileError(scenario.name, (Mistake("--duration", wrong, limits),))
        scenario = replace(scenario, duration_ns=duration_ns)
    if seed is not None:
        scenario = replace(scenario, seed=seed)
    mistakes = impossible(scenario)
    if mistakes:
        raise ScenarioFileError(scenario.name, tuple(mistakes))
    return scenario


def _shares(counts: list[int], total: int) -> list[int]:
    """``total`` in the proportions of ``counts``: rounded down, the first get the rest."""
    whole = sum(counts)
    shares = [count * total // whole for count in counts]
    for index in range(total - sum(shares)):
        shares[index % len(shares)] += 1
    return shares
