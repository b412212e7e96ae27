from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from remusnet.availability.models.library import READY, blueprint
from remusnet.availability.unfolding import unfolded
from remusnet.cli.main import main

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "availability" / "two-servers.toml"
PNML = "{http://www.pnml.org/version-2009/grammar/pnml}"
SVG = "{http://www.w3.org/2000/svg}"


def show(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["availability", "show", *args])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    return out


def test_a_net_is_told_module_by_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(capsys, str(EXAMPLE)).startswith(
        """\
net two-servers
  Technician  1
  Jobs        0 disk, 0 power
  Done        0 disk, 0 power
  Bench       0 disk, 0 power
  Tested      0 disk, 0 power
  a           module server (Jobs = Jobs, Done = Done)
  b           module server (2) (Jobs = Jobs, Done = Done)
  take: immediate, priority 2
      takes Jobs['disk'], Technician; puts Bench['disk']
  take power: immediate
      takes Jobs['power'], Technician; puts Bench['power']
  mend disk: uniform, low 1.5d, high 4.5d
      takes Bench['disk']; puts Tested['disk'], Technician
  mend power: exponential, mean 1d
      takes Bench['power']; puts Tested['power'], Technician
  good: immediate, weight 0.98
      takes Tested[part]; puts Done[part]
  bad: immediate, weight 0.02
      takes Tested[part]; puts Jobs[part]

module server (as a)
  Jobs   port of disk, power
  Done   port of disk, power
  disk   module disk (Jobs = Jobs, Done = Done)
  power  module power (Jobs = Jobs, Done = Done)

module server (2) (as b)
"""
    )


def test_a_changed_parameter_is_seen_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "mend: exponential, mean 4h" in show(capsys, "standard", "--set", "host.mttr=4h")


@pytest.mark.parametrize("name", READY)
def test_pnml_has_every_place_transition_and_arc_of_the_net(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    net = unfolded(blueprint(name).made().net)
    top = ET.fromstring(show(capsys, name, "--pnml"))
    places = {each.get("id"): each for each in top.iter(f"{PNML}place")}
    references = {each.get("id"): each.get("ref") for each in top.iter(f"{PNML}referencePlace")}
    transitions = [each.get("id") for each in top.iter(f"{PNML}transition")]
    assert len(places) == len(net.slots)
    assert len(transitions) == len(net.modes)
    marked = [each.findtext(f"{PNML}initialMarking/{PNML}text", "0") for each in places.values()]
    assert sorted(map(int, marked)) == sorted(net.initial)
    # What each transition changes, through references: the same as the net's own.
    change: dict[str, dict[str, int]] = {str(each): {} for each in transitions}
    for page in top.iter(f"{PNML}page"):
        here = {each.get("id") for each in page}
        for arc in page.findall(f"{PNML}arc"):
            source, target = str(arc.get("source")), str(arc.get("target"))
            assert {source, target} <= here  # an arc stays within its page
            count = int(arc.findtext(f"{PNML}inscription/{PNML}text", "1"))
            moved = change[source if source in change else target]
            place = str(
                references.get(target if source in change else source)
                or (target if source in change else source)
            )
            moved[place] = moved.get(place, 0) + (count if source in change else -count)
    for number, mode in enumerate(net.modes):
        found = {place: by for place, by in change[f"t{number}"].items() if by}
        assert found == {f"p{slot}": by for slot, by in mode.change}


def test_pnml_keeps_times_inhibitors_and_guards_for_who_knows_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "model.toml"
    path.write_text(
        "net.places = { P = 3, Q = 0 }\nmeasure = [{ name = 'm', mean = 'P' }]\n"
        "[net.transitions.t]\nneeds = 'P'\ninhibited-by = '2 Q'\n"
        'when = \'P < 4 and "<" != "&"\'\n'
        "time = { distribution = 'uniform', low = '1s', high = '2s' }\nmemory = 'age'\n"
    )
    top = ET.fromstring(show(capsys, str(path), "--pnml"))
    (tool,) = top.iter(f"{PNML}toolspecific")
    assert (tool.get("tool"), tool.get("version")) == ("remusnet", "1")
    timed = tool.find(f"{PNML}timed")
    assert timed is not None
    assert timed.attrib == {"memory": "age", "servers": "single"}
    assert [each.attrib for each in tool.iter(f"{PNML}parameter")] == [
        {"name": "low", "value": "1.0"},
        {"name": "high", "value": "2.0"},
    ]
    inhibitor = tool.find(f"{PNML}inhibitor")
    assert inhibitor is not None
    assert [inhibitor.get("below"), *(each.get("place") for each in inhibitor)] == ["2", "p1"]
    assert tool.findtext(f"{PNML}guard") == 'P < 4 and "<" != "&"'


@pytest.mark.parametrize("name", ["actors-on-remus", "thesis-server", str(EXAMPLE)])
def test_a_drawing_has_every_node_and_loads_nothing(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = show(capsys, name, "--svg")
    top = ET.fromstring(text)
    titles = [each.text or "" for each in top.iter(f"{SVG}title")]
    dot = show(capsys, name, "--dot")
    tooltips = [
        each.replace('\\"', '"') for each in re.findall(r'tooltip="((?:[^"\\]|\\.)*)"', dot)
    ]
    assert titles == tooltips
    assert len(titles) > 20
    assert not re.search(r"href|src=|url\(|@import", text)
    assert text == show(capsys, name, "--svg")  # the same bytes each time


def test_dot_has_an_edge_for_each_arc(capsys: pytest.CaptureFixture[str]) -> None:
    dot = show(capsys, "thesis-standard-age", "--dot")
    assert dot.count(" -> ") == 14  # seven transitions, in and out
    assert dot.startswith('digraph "standard" {')


def test_without_the_library_a_drawing_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    with pytest.raises(SystemExit) as ended:
        main(["availability", "show", "actors", "--svg"])
    assert ended.value.code == 3
    err = capsys.readouterr().err
    assert err.startswith("remusnet: error: drawing a net needs fast-sugiyama: ")
    assert "remusnet[report]" in err
