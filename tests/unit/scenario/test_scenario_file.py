from __future__ import annotations

import pytest

from remusnet.errors import InvalidInput
from remusnet.scenario.library import names, shipped, text
from remusnet.scenario.quantity import Constant, Exponential, Growing, Normal, Uniform
from remusnet.scenario.scenario_file import ScenarioFileError, load, overridden
from remusnet.tables.mistakes import Mistake
from remusnet.tcp.stack import LINUX, Congestion
from tests.unit.emulator.scenes import MS, S, scenario


def mistakes(text: str, head: str = 'name = "x"\nduration = "10s"\n') -> list[str]:
    with pytest.raises(ScenarioFileError) as caught:
        load(head + text, "x.toml")
    return [str(mistake) for mistake in caught.value.mistakes]


def only(text: str) -> str:
    (found,) = mistakes(text)
    return found


def test_all_mistakes_come_at_once_each_with_its_path_and_what_is_allowed() -> None:
    found = mistakes(
        """
        policies = ["tcp-onyl"]
        [checkpoint]
        pause = "soon"
        transfer = { distribution = "gaussian" }
        [network]
        loss = 101
        [[calls]]
        codec = "g711"
        count = 0
        ptmie = "20ms"
        [[tcp]]
        client = "me"
        """
    )
    paths = [line.partition(": ")[0] for line in found]
    assert paths == [
        "checkpoint.pause",
        "checkpoint.transfer.distribution",
        "checkpoint.transfer.high",
        "policies[1]",
        "network.loss",
        "calls[1].codec",
        "calls[1].count",
        "calls[1].ptmie",
        "tcp[1].client",
    ]
    assert all("; expected " in line for line in found)
    assert "did you mean 'tcp-only'?" in found[3]
    assert "did you mean 'ptime'?" in found[7]


IMPOSSIBLE = {
    "a pause longer than the period": (
        '[checkpoint]\nperiod = "100ms"\npause = "120ms"\n[[calls]]',
        "pause, transfer and commit-delay take 125ms, longer than the period of 100ms",
    ),
    "a pause as long as xend's interval": (
        '[checkpoint]\nschedule = "xend"\ninterval = "50ms"\ncommit-delay = "0"\n[[calls]]',
        "the guest would never run: it pauses for 50ms in every 50ms",
    ),
    "a limit below one frame": (
        "[checkpoint]\n[vif]\nlimit = 100\n[[calls]]",
        "a plug of 100 bytes holds no frame of 214: it drops all",
    ),
    "a limit below one segment": (
        "[checkpoint]\n[vif]\nlimit = 1000\n[[tcp]]",
        "holds no frame of 1514",
    ),
    "a period and an interval": (
        '[checkpoint]\nperiod = "300ms"\ninterval = "300ms"\n[[calls]]',
        "beside an interval",
    ),
    "a period of steps that vary": (
        (
            '[checkpoint]\nperiod = "300ms"\npause = { distribution = "uniform", high = "9ms" }\n'
            "[[calls]]"
        ),
        "no period is fixed where pause, transfer or commit-delay vary",
    ),
    "a failure after the end": (
        '[checkpoint]\n[failure]\nat = "11s"\n[[calls]]',
        "fails at 11s, after the end",
    ),
    "a failure without Remus": (
        '[failure]\nat = "5s"\n[[calls]]',
        "nobody takes over without Remus",
    ),
    "a stale primary that is dead": (
        '[checkpoint]\n[failure]\nat = "5s"\nstale = "1s"\n[[calls]]',
        "a primary that died sends nothing",
    ),
    "nothing to do": ("[checkpoint]", "no traffic"),
    "a packet of half a frame": (
        '[[calls]]\ncodec = "g729"\nptime = "25ms"',
        "g729 has frames of 10ms",
    ),
    "a relay with a clock": (
        '[[calls]]\nguest = "relay"\nclock = "wall"',
        "a relay passes on the phones' timestamps",
    ),
    "talk without silence": ('[[calls]]\ntalk = "1s"', "without silence suppression"),
    "a start after the end": ('[[calls]]\nstart = "10s"', "after the end"),
    "an adaptive buffer that begins outside": (
        '[client]\ndelay = "10ms"\n[[calls]]',
        "where the buffer begins is out of its bounds",
    ),
    "an exchange of bulk": ('[[tcp]]\nkind = "bulk"\nexchanges = 2', "bulk is one exchange"),
    "a dialog of nothing": ("[[sip]]\ncall = false", "neither a call nor a registration"),
    "one table where many belong": ("[calls]", "[[calls]], in double brackets"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_combinations_are_explained(case: str) -> None:
    text, said = IMPOSSIBLE[case]
    assert said in only(text)


def test_broken_toml_is_one_mistake_with_its_line() -> None:
    (found,) = mistakes("[[calls]\n", head="")
    assert found.startswith("line 1, column ")


def test_too_many_checkpoints_and_too_long_streams_are_refused() -> None:
    head = 'name = "x"\nduration = "100000000s"\n'
    with pytest.raises(ScenarioFileError) as caught:
        load(f"{head}[checkpoint]\n[[calls]]", "x.toml")
    assert isinstance(caught.value.mistakes[0], Mistake)
    head = 'name = "x"\nduration = "8000000s"\n'
    with pytest.raises(ScenarioFileError, match="more than 1000000 checkpoints") as caught:
        load(f"{head}[checkpoint]\n[[calls]]", "x.toml")
    assert len(caught.value.mistakes) == 2
    assert "a shorter run of more calls" in str(caught.value.mistakes[1])


def test_a_period_makes_the_interval_that_the_schedule_needs() -> None:
    text = '[checkpoint]\nperiod = "300ms"\npause = "50ms"\ncommit-delay = "5ms"\n'
    xl = scenario(f"{text}[[calls]]").checkpointing
    xend = scenario(f'{text}schedule = "xend"\n[[calls]]').checkpointing
    assert xl is not None
    assert xend is not None
    assert (xl.interval_ns, xend.interval_ns) == (245 * MS, 300 * MS)


def test_times_may_vary_by_chance_or_with_the_load() -> None:
    found = scenario(
        """
        [checkpoint]
        pause = { base = "2ms", dirty-rate = "800mbit", through = "8gbit", working-set = "1MB" }
        transfer = { distribution = "normal", mean = "20ms", deviation = "5ms" }
        commit-delay = { distribution = "exponential", mean = "3ms", least = "1ms" }
        [[calls]]
        """
    ).checkpointing
    assert found is not None
    assert found.pause == Growing(2 * MS, 800_000_000, 8_000_000_000, 1_000_000)
    assert found.transfer == Normal(20 * MS, 5 * MS)
    assert found.commit_delay == Exponential(3 * MS, MS)
    fixed = scenario('[checkpoint]\npause = "7ms"\n[[calls]]').checkpointing
    assert fixed is not None
    assert fixed.pause == Constant(7 * MS)
    even = scenario(
        '[checkpoint]\npause = { distribution = "uniform", low = "1ms", high = "2ms" }\n[[calls]]'
    ).checkpointing
    assert even is not None
    assert even.pause == Uniform(MS, 2 * MS)


def test_calls_of_the_command_line_are_shared_as_the_files_are() -> None:
    found = scenario("[[calls]]\ncount = 3\n[[calls]]\ncount = 1")
    shared = overridden(found, calls=10, duration_ns=None, seed=None)
    assert [group.count for group in shared.calls] == [8, 2]


def test_what_the_command_line_makes_impossible_is_explained() -> None:
    with pytest.raises(ScenarioFileError, match="fails at 20.044s, after the end"):
        overridden(shipped("fig12"), calls=None, duration_ns=10 * S, seed=None)
    with pytest.raises(ScenarioFileError, match="the scenario has no calls"):
        overridden(scenario("[[sip]]"), calls=3, duration_ns=None, seed=None)


@pytest.mark.parametrize("name", names())
def test_every_shipped_scenario_says_what_it_assumes(name: str) -> None:
    found = shipped(name)
    assert found.name == name
    assert found.description
    assert found.assumptions
    assert found.policies


def test_figures_come_in_the_order_of_their_numbers() -> None:
    assert names()[:4] == ("fig8", "fig9", "fig10", "fig11")


def test_an_unknown_scenario_has_a_suggestion() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'fig11'"):
        text("fig111")


def test_either_side_s_tcp_is_linux_s_but_for_what_is_there() -> None:
    found = load(
        'name = "x"\nduration = "10s"\n[guest-tcp]\nhystart = false\ncongestion = "reno"\n'
        "initial-window = 20\n[[tcp]]\n",
        "x.toml",
    )
    assert (found.guest_tcp.hystart, found.guest_tcp.initial_window) == (False, 20)
    assert found.guest_tcp.congestion is Congestion.RENO
    assert (found.guest_tcp.sack, found.peer_tcp) == (True, LINUX)


def test_a_queue_without_a_rate_and_an_unknown_setting_are_mistakes() -> None:
    assert "network.queue: without a rate" in only("[network]\nqueue = 5\n[[tcp]]\n")
    assert "guest-tcp.hystrt: unknown key (did you mean 'hystart'?)" in only(
        "[guest-tcp]\nhystrt = false\n[[tcp]]\n"
    )
