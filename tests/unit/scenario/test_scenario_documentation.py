"""docs/reference/scenario-file.md names every key there is, and its example is a scenario."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from remusnet.scenario.scenario_file import load
from remusnet.tables import fields

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "scenario-file.md"
EVERY_TABLE = """
name = "all"
duration = "10s"
figure = "fig11"
policies = ["tcp-only"]
[checkpoint]
period = "400ms"
first = "1s"
[guest]
[vif]
ring = 5
[network]
rate = "1gbit"
[[calls]]
duration = "1s"
vad = true
phase = "1ms"
[[sip]]
re-invite = "1s"
[[tcp]]
[[dns]]
[[icmp]]
[[tunnels]]
kind = "gre"
count = 3
[[captures]]
file = "x.pcap"
guest = "192.0.2.1"
[failure]
at = "5s"
kind = "split-brain"
[client]
loss-robustness = 4
"""


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every key that the loader asks for while it reads a file."""
    asked: set[str] = set()
    finish = fields.Fields.finish

    def note(self: fields.Fields) -> None:
        asked.update(self._known)
        finish(self)

    monkeypatch.setattr(fields.Fields, "finish", note)
    return asked


def test_every_key_is_documented(known: set[str]) -> None:
    load(EVERY_TABLE, "all.toml")
    words = set(re.findall(r"[a-z0-9-]+", PAGE.read_text()))
    assert len(known) > 60
    assert known - words == set()


def test_every_word_of_the_closed_vocabularies_is_documented() -> None:
    from remusnet.scenario import scenario, traffic

    text = PAGE.read_text()
    for kind in (
        *(traffic.Role, traffic.Direction, traffic.Clock, traffic.Transport, traffic.TcpKind),
        *(traffic.Side, scenario.FailureKind),
    ):
        for word in kind:
            assert f"`{word}`" in text or f'`"{word}"`' in text, word


def test_the_example_is_a_scenario() -> None:
    blocks = re.findall(r"\n\n((?: {4}.*\n|\n)+)", PAGE.read_text())
    found = load(dedent(blocks[0]), "example.toml")
    assert found.name == "office"
    for block in blocks[1:]:
        for line in dedent(block).strip().splitlines():
            text = f'name = "x"\nduration = "1s"\n[checkpoint]\n{line}\n[[calls]]\n'
            assert load(text, "x.toml").checkpointing is not None
