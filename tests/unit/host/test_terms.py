"""What a vif gets, by the file of domains and by the environment of one run of xl."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.host.netbuf.places import Places
from remusnet.host.netbuf.terms import Chosen, terms_of


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "d.toml"


def chosen(config: Path, **environment: str) -> Chosen:
    places = Places({"REMUSNET_CONFIG": str(config), **environment})
    return terms_of(places, "guest", "", "vif1.0", 0)


def test_what_is_held_is_copied_unless_the_file_says_no(config: Path) -> None:
    assert chosen(config).terms.decouple
    config.write_text("[default]\ndecouple = false\n")
    assert not chosen(config).terms.decouple


@pytest.mark.parametrize(("word", "decouple"), [("yes", True), ("no", False)])
@pytest.mark.parametrize("in_file", ["true", "false"])
def test_the_environment_decides_for_one_run(
    config: Path, in_file: str, word: str, decouple: bool
) -> None:
    config.write_text(f"[default]\ndecouple = {in_file}\n")
    found = chosen(config, REMUSNET_DECOUPLE=word)
    assert (found.terms.decouple, found.warning) == (decouple, "")


def test_another_word_is_said_and_changes_nothing(config: Path) -> None:
    config.write_text("[default]\ndecouple = false\n")
    found = chosen(config, REMUSNET_DECOUPLE="off\n")
    assert found.warning == r"REMUSNET_DECOUPLE is 'off\n', which is neither yes nor no"
    assert (found.terms.decouple, found.terms.policy) == (False, "tcp-only")


def test_where_nobody_can_tell_everything_is_held_and_copied(config: Path) -> None:
    config.write_text("[default")
    found = chosen(config)
    assert (found.terms.policy, found.terms.decouple) == ("hold-all", True)
    assert "every frame of vif1.0 is held" in found.warning
