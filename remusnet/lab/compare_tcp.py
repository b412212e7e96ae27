"""A scenario's TCP through a real kernel's TCP, rules and plug, beside what the emulator says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from remusnet.emulator.run.scenario_run import run_scenario, timeline
from remusnet.errors import InvalidInput, quoted
from remusnet.lab import tcp_script as script
from remusnet.lab.compare import Tell, wait
from remusnet.lab.guard import Guard
from remusnet.lab.runs import Job
from remusnet.lab.tcp_script import Connection, Group, Terms, Wire
from remusnet.lab.tcp_script import Host as TcpHost
from remusnet.lab.uml import Uml, memory_bytes
from remusnet.lab.visible import SOURCE, inside
from remusnet.lab.xstate import kernel_release
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.policy import Policy
from remusnet.policy.presets import STOCK_REMUS
from remusnet.policy.toml import to_toml
from remusnet.results.exchanges import Transfer
from remusnet.results.likeness import Likeness, Pair, Side
from remusnet.scenario.scenario import Network, Scenario
from remusnet.scenario.traffic import Side as Begins
from remusnet.scenario.traffic import Tcp
from remusnet.tcp.stack import Stack

_MODULE = "remusnet.lab.tcp_run"
MEMORY = "1G"
"""At least: a kernel with less than 800 MB gives TCP smaller buffers than a server has, and a file
that is mapped takes only what is used of it."""
TICK_NS = 10 * NS_PER_MS
"""A UML kernel's: 100 a second."""
MOST_CONNECTIONS = 2_000
"""Each is two threads of the kernel."""


def compare_tcp(
    scenario: Scenario, policy: Policy, lab: Uml, *, classifier: str, tell: Tell
) -> Likeness:
    """Run the connections of ``scenario`` under ``policy`` in a kernel of ``lab``.

    In real time that takes as long as the scenario. ``tell`` hears what is done now. Raises
    ``LabUnavailable``, ``LabDied``, and InvalidInput for what can't be had there.
    """
    alone = only_tcp(scenario)
    terms = _terms(alone, policy, classifier)
    tell(f"emulating the TCP of {scenario.name} under {policy.name}")
    (outcome,) = run_scenario(alone, [policy]).comparison.outcomes
    transfers = () if outcome.scene is None else outcome.scene.transfers
    if memory_bytes(lab.memory) < memory_bytes(MEMORY):
        lab = replace(lab, memory=MEMORY)
    with Guard(Path("/tmp"), "remusnet-inside-") as guard:
        tell("starting the kernel")
        place = inside(SOURCE, lab.account, guard.directory, _MODULE)
        job = Job(
            [place.python, "-m", _MODULE], place.environment, files={script.TERMS: terms.text()}
        )
        with lab.start(job) as run:
            wait(run, scenario, tell, _reached)
            seen, late_ns = script.read_seen(run.read(script.SEEN))
    return Likeness(
        scenario=scenario.name,
        policy=policy.name,
        kernel=kernel_release(lab.kernel.modules),
        virtual=lab.kernel.virtual,
        checkpoints=len(terms.checkpoints),
        late_ms=tuple(each / NS_PER_MS for each in late_ns),
        left_out=tuple(_left_out(scenario)),
        groups=tuple(
            Pair(
                number,
                str(group.kind),
                lab.kernel.virtual,
                _emulated([each for each in transfers if each.group == number]),
                _seen([each for each in seen if each.group == number - 1]),
            )
            for number, group in enumerate(alone.tcp, start=1)
        ),
    )


def _reached(directory: Path) -> int | None:
    path = directory / script.DONE
    said = path.read_text(encoding="ascii") if path.exists() else ""
    return int(said) if said else None


def only_tcp(scenario: Scenario) -> Scenario:
    """``scenario`` with nothing but its connections, and a network that a kernel can have.

    Raises InvalidInput where there are none, or too many; and without checkpoints.
    """
    name = quoted(scenario.name)
    if not scenario.tcp:
        raise InvalidInput(f"{name} has no [[tcp]]: nothing to compare with a real kernel's TCP")
    if scenario.checkpointing is None:
        raise InvalidInput(f"{name} has no checkpoints: nothing is held in it")
    count = sum(each.count for each in scenario.tcp)
    if count > MOST_CONNECTIONS:
        raise InvalidInput(
            f"{name} has {count:,} connections; real TCP is for {MOST_CONNECTIONS:,} at most"
        )
    if len({each.rto_min_ns for each in scenario.tcp}) > 1:
        raise InvalidInput(f"{name} has several rto-min: a kernel's route has one")
    if scenario.guest_tcp.hystart != scenario.peer_tcp.hystart:
        raise InvalidInput(f"{name} has hystart on one side only: a kernel has one for all")
    network = scenario.network
    return replace(
        scenario,
        guest_tcp=replace(scenario.guest_tcp, tick_ns=TICK_NS),
        peer_tcp=replace(scenario.peer_tcp, tick_ns=TICK_NS),
        figure=None,
        calls=(),
        sip=(),
        dns=(),
        icmp=(),
        tunnels=(),
        recordings=(),
        failure=None,
        host=replace(scenario.host, jitter_ns=0, ring_slots=None),
        network=replace(network, jitter_ns=0, reorder=False),
    )


def _left_out(scenario: Scenario) -> Iterator[str]:
    others = {
        "calls": scenario.calls,
        "sip": scenario.sip,
        "dns": scenario.dns,
        "icmp": scenario.icmp,
        "tunnels": scenario.tunnels,
        "captures": scenario.recordings,
        "the failure": scenario.failure,
        "the ring": scenario.host.ring_slots,
        "the guest's jitter": scenario.host.jitter_ns,
        "the network's jitter": scenario.network.jitter_ns,
    }
    yield from (word for word, there in others.items() if there)


def _terms(alone: Scenario, policy: Policy, classifier: str) -> Terms:
    planned = timeline(alone).checkpoints
    columns = planned.suspend_ns, planned.resume_ns, planned.commit_ns
    return Terms(
        policy=to_toml(policy),
        classifier=classifier,
        limit=alone.host.limit,
        # As the emulator has it: Xen's own script holds without a copy.
        decouple=policy.name != STOCK_REMUS.name,
        duration_ns=alone.duration_ns,
        checkpoints=list(zip(*(each.tolist() for each in columns), strict=True)),
        wire=_wire(alone.network),
        guest=_host(alone.guest_tcp, alone.tcp),
        peer=_host(alone.peer_tcp, alone.tcp),
        hystart=alone.guest_tcp.hystart,
        groups=[_group(each, alone.duration_ns) for each in alone.tcp],
    )


def _wire(network: Network) -> Wire:
    loss = ""
    if network.loss_percent:
        loss = f"loss {network.loss_percent:g}%"
        if network.loss_burst > 1:
            # Gilbert's: from good to bad, and back, so that so many are lost in a row on average.
            back = 100 / network.loss_burst
            into = back * network.loss_percent / (100 - network.loss_percent)
            loss = f"loss gemodel {into:g}% {back:g}% 100% 0%"
    return Wire(network.delay_ns, loss, network.rate, network.queue)


def _host(stack: Stack, groups: Sequence[Tcp]) -> TcpHost:
    """``stack`` as Linux has it: sysctls, and what belongs to a route."""
    route = f"initcwnd {stack.initial_window} rto_min {groups[0].rto_min_ns // NS_PER_MS}ms"
    return TcpHost(
        {
            "tcp_congestion_control": str(stack.congestion),
            "tcp_slow_start_after_idle": str(int(stack.slow_start_after_idle)),
            "tcp_timestamps": str(int(stack.timestamps)),
            "tcp_sack": str(int(stack.sack)),
            "tcp_frto": str(2 * stack.frto),
            "tcp_early_retrans": str(3 * stack.tail_loss_probe),
            "tcp_autocorking": str(int(stack.autocorking)),
        },
        route if stack.delayed_ack else f"{route} quickack 1",
        nodelay=not stack.nagle,
    )


def _group(tcp: Tcp, duration_ns: int) -> Group:
    starts = (tcp.start_ns + number * tcp.spacing_ns for number in range(tcp.count))
    return Group(
        tcp.client is Begins.GUEST,
        tcp.request,
        tcp.response,
        tcp.exchanges,
        tcp.think_ns,
        [each for each in starts if each < duration_ns],
    )


def _emulated(transfers: Sequence[Transfer]) -> Side:
    # The emulator counts a probe and a timeout's copy alike, as tcpi_total_retrans does.
    return Side(
        len(transfers),
        tuple(each for one in transfers for each in one.responses_ms),
        tuple(one.duration_ms for one in transfers if one.duration_ms is not None),
        sum(one.retransmissions for one in transfers),
    )


def _seen(connections: Sequence[Connection]) -> Side:
    return Side(
        len(connections),
        tuple(each / NS_PER_MS for one in connections for each in one.answers_ns),
        tuple(one.done_ns / NS_PER_MS for one in connections if one.done_ns is not None),
        sum(one.copies for one in connections),
    )
