from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from unittest import mock

import pytest

from remusnet.metrics.jitter_buffer import FixedBuffer
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import Checked, evaluate
from remusnet.report.measures import Measurements
from remusnet.report.page import MOST_ROWS, FileBeside, report_page
from remusnet.results.comparison import Comparison
from remusnet.results.scene import Expectation, ScenarioSetting
from tests.unit.report.outcomes import replayed_call, staged

# Elements that have no end.
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Checks that elements nest, and collects what is said and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(f"{tag}.{name}", value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(f"{tag}.{name}", value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def page(comparison: Comparison, *assertions: str, drawn: bool = False) -> str:
    """Figures take a second; where a test isn't about them, there are none."""
    measurements = Measurements(comparison)
    found = checked(measurements, *assertions)
    if drawn:
        return report_page(measurements, found)
    with mock.patch("remusnet.report.page._figures", return_value=()):
        return report_page(measurements, found)


def checked(measurements: Measurements, *assertions: str) -> tuple[Checked, ...]:
    return evaluate([parse(text) for text in assertions], measurements)


def test_a_page_says_what_a_reader_wants_to_know_first() -> None:
    html = page(replayed_call(), "commit.violations == 0", "rtp.jitter.mean < 6ms", drawn=True)
    said = read(html).text
    order = [
        "call.pcap",
        "1 of 2 assertions failed",
        "a checkpoint every 455ms",
        "holds commit.violations == 0",
        "failed rtp.jitter.mean < 6ms",
        "What each policy does",
        "When frames left",
        "Jitter over time",
        "How long RTP packets took",
        "RTP streams",
        "Open loop",
    ]
    place = 0
    for words in order:
        place = said.index(words, place)


def test_a_page_loads_nothing() -> None:
    html = page(replayed_call(), "mos >= 1", drawn=True)
    reader = read(html)
    links = [
        value
        for name, value in reader.attributes
        if name.endswith((".src", ".href", ":href", ".srcset", ".action", ".data"))
    ]
    # Within the page, or to a file beside it, which is loaded when somebody asks for it.
    assert all(value.startswith(("#", "./")) for value in links)
    assert not any(name.endswith(".src") for name, _ in reader.attributes)
    assert "<script" not in html
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    # Names of XML languages look like addresses; nobody fetches them.
    assert set(re.findall(r"https?://[^\"' >]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in html


def test_the_same_result_has_the_same_bytes() -> None:
    one, other = (page(replayed_call("hold-all"), "mos >= 1", drawn=True) for _ in range(2))
    assert one == other


def test_identifiers_are_unique() -> None:
    reader = read(page(replayed_call(), drawn=True))
    found = [value for name, value in reader.attributes if name.endswith(".id")]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a&b $x_1$"])
def test_nothing_from_a_capture_becomes_markup(name: str) -> None:
    comparison = replayed_call("tcp-only")
    stream = comparison.outcomes[0].streams[0]
    odd = replace(
        comparison,
        setting=replace(comparison.setting, capture=name, guest=name),
        outcomes=(
            replace(
                comparison.outcomes[0],
                policy=name,
                streams=(replace(stream, rtp=replace(stream.rtp, flow=name, notes=(name,))),),
            ),
        ),
    )
    html = page(odd, "commit.held >= 0", drawn=True)
    assert "<script" not in html
    assert "<img" not in html
    assert name in read(html).text


def test_the_name_of_a_capture_cannot_bring_control_characters() -> None:
    comparison = replayed_call("tcp-only")
    odd = replace(comparison, setting=replace(comparison.setting, capture="a/\x1b[2J\x00"))
    html = page(odd)
    assert "\x1b" not in html
    assert "\x00" not in html


def test_without_assertions_there_is_no_word_of_them() -> None:
    assert "ssertion" not in read(page(replayed_call())).text


def test_all_that_hold_are_said_to() -> None:
    said = read(page(replayed_call(), "commit.violations == 0")).text
    assert "All assertions hold (1)" in said


def test_what_a_scenario_is_held_to_stands_beside_what_was_seen() -> None:
    kept = Expectation("jitter, mean (ms)", "40(1 - 20/I)", 38.0, 38.1, 37.2, 38.8, "within 2 %")
    bounded = replace(kept, what="silence (ms)", expected=None, seen=5.0, lowest=1000, highest=1090)
    said = read(page(staged(expectations=(kept, bounded)))).text
    assert "holds tcp-only jitter, mean (ms) 38 38.1 40(1 - 20/I) (within 2 %)" in said
    assert "missed tcp-only silence (ms) 1000 to 1090 5 40(1 - 20/I)" in said
    # Bounds stand there once: their tolerance is themselves.
    assert "5 40(1 - 20/I) (" not in said


def test_streams_beyond_the_table_are_counted() -> None:
    comparison = replayed_call("tcp-only")
    stream = comparison.outcomes[0].streams[0]
    many = tuple(
        replace(stream, rtp=replace(stream.rtp, ssrc=number)) for number in range(MOST_ROWS + 3)
    )
    said = read(
        page(
            replace(
                comparison,
                outcomes=(replace(comparison.outcomes[0], streams=many),),
                recorded=None,
            )
        )
    ).text
    assert "3 more are in streams.csv and report.json" in said


def test_a_stream_is_named_once_and_what_is_alike_has_one_row() -> None:
    said = read(page(replayed_call("tcp-only", "real-time", "hold-all"))).text
    table = said[said.rindex("RTP streams") :]
    assert table.count("0x600d0001") == table.count("0xc11e0002") == 1
    ours = table[table.index("0x600d0001") : table.index("0xc11e0002")]
    assert ours.count("500 0 ") == 3
    for runs in ("as recorded 500", "tcp-only, real-time 500", "hold-all 500"):
        assert runs in ours
    assert "not from the guest all alike 500 0 0.00" in table


def test_what_a_failover_may_break_is_said_for_each_policy_that_lets_it_pass() -> None:
    said = read(page(staged())).text
    assert "tcp-only, hold-all: SIP over UDP bypasses. 3 frames, first in udp 10.0.0.1:5060" in said
    assert "What may go wrong" not in read(page(replayed_call())).text


def test_the_command_and_the_files_beside_are_named() -> None:
    command = "remusnet simulate 'a b.pcap' --assert 'mos < 5' --report DIR"
    with mock.patch("remusnet.report.page._figures", return_value=()):
        html = report_page(
            Measurements(replayed_call()), command=command, files=[FileBeside("a#b.csv", "rows")]
        )
    reader = read(html)
    assert command in reader.text
    assert ("a.href", "./a%23b.csv") in reader.attributes
    assert "a#b.csv : rows" in reader.text


def test_what_there_is_nothing_of_has_no_heading() -> None:
    scene = staged()
    assert scene.setting.scenario is None
    setting = replace(
        scene.setting,
        scenario=ScenarioSetting("x", "", (), 0, 10**10, "vectorised", FixedBuffer(), None),
    )
    said = read(page(replace(scene, setting=setting))).text
    for heading in ("What to know before trusting it", "How it was made", "Assertions", "held to"):
        assert heading not in said


def test_the_page_of_a_live_run_is_named_for_its_program() -> None:
    scene = staged()
    command = "/opt/pbx/my-server --socket /run/my-server/control"
    setting = replace(scene.setting, capture=command, live=True)
    html = page(replace(scene, setting=setting))
    assert "<h1>my-server</h1>" in html
    assert command in read(html).text


def test_an_assumed_codec_is_said_to_be_assumed() -> None:
    comparison = replayed_call("tcp-only")
    stream = comparison.outcomes[0].streams[0]
    types = tuple(replace(each, encoding="opus") for each in stream.rtp.payload_types)
    odd = replace(stream, rtp=replace(stream.rtp, payload_types=types))
    said = read(
        page(replace(comparison, outcomes=(replace(comparison.outcomes[0], streams=(odd,)),)))
    ).text
    assert "MOS: assumed: G.113 has no narrow-band factors for opus" in said
