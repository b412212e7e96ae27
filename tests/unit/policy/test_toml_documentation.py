"""The documentation of policy files says what the loader does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remusnet.policy.conditions import CONDITIONS
from remusnet.policy.policy import (
    DSCPS,
    ETHERTYPES,
    NEVER_MEDIA_PORTS,
    PROTOCOLS,
    Fragment,
    Link,
    PayloadClass,
    Tunnel,
)
from remusnet.policy.toml import LONGEST_DESCRIPTION, MOST_RULES, load

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "policy-file.md").read_text(encoding="utf-8")
BLOCKS = [
    (name, block)
    for name in ("reference/policy-file.md", "how-to/write-a-policy.md")
    for block in re.findall(r"```toml\n(.*?)```", (DOCS / name).read_text("utf-8"), re.DOTALL)
]


@pytest.mark.parametrize("path", sorted(DOCS.glob("examples/*.toml")), ids=lambda path: path.stem)
def test_an_example_file_is_right_and_named_as_its_policy(path: Path) -> None:
    assert load(path.read_text(encoding="utf-8"), path.name).name == path.stem


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_an_example_in_the_text_is_right(name: str, block: str) -> None:
    load(block, name)


def test_the_reference_has_every_key_and_word() -> None:
    known = {
        *(condition.key for condition in CONDITIONS),
        *ETHERTYPES,
        *PROTOCOLS,
        *Tunnel,
    }
    assert {word for word in known if f"`{word}`" not in REFERENCE} == set()
    quoted = {*Link, *Fragment, *PayloadClass}
    assert {word for word in quoted if f'`"{word}"`' not in REFERENCE} == set()
    ranges = {f"cs{n}" for n in range(8)} | {f"af{n}{m}" for n in range(1, 5) for m in range(1, 4)}
    assert set(DSCPS) - ranges == {"ef", "va", "le"}


def test_the_reference_has_the_limits() -> None:
    ports = ", ".join(map(str, sorted(NEVER_MEDIA_PORTS)))
    text = " ".join(REFERENCE.split())
    assert f": {ports}." in text
    assert f"at most {MOST_RULES:,}" in text
    assert f"at most {LONGEST_DESCRIPTION} printable" in text
