"""``scripts/demo``: what somebody sees who has just cloned the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_ends_with_how_the_call_sounds_and_what_to_do_next() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "demo"], capture_output=True, text=True, check=True, timeout=300
    )
    text = done.stdout
    assert done.stderr == ""
    sentences = re.search(
        r"Under tcp-only it has a MOS of (\d\.\d); .*\n"
        r"Under stock Remus it has a MOS of (\d\.\d), of 1 to 4\.4: (\d+) % of what",
        text,
    )
    assert sentences is not None
    assert float(sentences[1]) >= 4.3
    assert float(sentences[2]) <= 2
    assert int(sentences[3]) > 50
    # A screen of rules, no more: among them the one that holds TCP.
    rules = text.partition("$ remusnet plan")[2].partition("(cut;")[0]
    assert len(rules.splitlines()) <= 24
    assert max(map(len, rules.splitlines()[1:])) < 80
    assert "# IPv4: hold TCP (rule tcp)\ntc filter add dev vif1.0 " in rules
    following = text.partition("\nNext:\n")[2]
    for name in re.findall(r"docs/\S+\.md", following):
        assert (ROOT / name).is_file()
    assert "remusnet simulate YOUR.pcap --period 400ms" in following
