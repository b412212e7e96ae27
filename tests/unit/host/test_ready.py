"""Prepared messages: the same bytes as the long way's, and never older than their sources."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remusnet.host.netbuf import ready
from remusnet.host.netbuf.compiled import make_ready
from remusnet.host.netbuf.contract import BadCall, Call, read_call
from remusnet.host.netbuf.interval import BY_DEFAULT, BY_FILE, BY_XL
from remusnet.host.netbuf.places import Places
from remusnet.host.netbuf.ready import Ready, read_ready
from remusnet.kernel.change.execute import Encoder
from remusnet.kernel.state.receipt import MARKS, receipts_of
from remusnet.kernel.wire import codec
from remusnet.plan.plan import CLASSIFIERS, build_plan
from remusnet.policy import PRESETS
from tests.lib.long import count

VIF, BUFFER = "vif7.0", "ifb-7.0"
SINK = "sink-7.0"
NUMBERS = {VIF: 260, BUFFER: 0x01020304, SINK: 0x05060708}
UUID = "f2b1c0de-0000-4000-8000-000000000001"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(
        {"REMUSNET_CONFIG": str(tmp_path / "d.toml"), "REMUSNET_STATE_DIR": str(tmp_path / "state")}
    )


def made(places: Places, config: str | None = None) -> Ready:
    if config is not None:
        Path(places.config).write_text(config)
    assert make_ready(places)
    found = read_ready(places.ready, places.config)
    assert found is not None
    return found


@pytest.mark.parametrize("decouple", [True, False])
@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("policy", PRESETS)
def test_prepared_filters_are_the_messages_of_the_plan(
    places: Places, policy: str, classifier: str, decouple: bool
) -> None:
    config = f'[default]\npolicy = "{policy}"\nclassifier = "{classifier}"\nlimit = "1MB"\n'
    config += f"decouple = {str(decouple).lower()}\n"
    terms = made(places, config).terms_of("any", "", VIF, 0, "", "")
    assert terms is not None
    assert terms.filters.decouple is decouple
    values = {
        codec.VIF: (260).to_bytes(4, "little"),
        codec.BUFFER: bytes([4, 3, 2, 1]),
        codec.SINK: bytes([8, 7, 6, 5]),
        codec.LIMIT: (10**6).to_bytes(4, "little"),
        codec.BUFFER_NAME: BUFFER.encode(),
        codec.SINK_NAME: SINK.encode(),
        codec.VIF_NAMES: VIF.encode(),
    }
    plan = build_plan(
        [VIF],
        PRESETS[policy],
        classifier=classifier,
        rate=10**9,
        interval_ns=1,
        limit=10**6,
        decouple=decouple,
    )
    encoder = Encoder(NUMBERS)
    assert [each.fill(values) for each in terms.filters.templates] == [
        encoder.encode(each) for each in plan.operations
    ]
    (expected,) = receipts_of(plan, rate=1, interval_ns=1, shared={})
    members = json.loads(f"{{{terms.filters.receipt}}}")
    assert members == {key: expected.to_json()[key] for key in members}
    assert members.keys() | {
        *ready.DECIDED_LATER,
        *MARKS,
    } == {"format", *asdict(expected)}
    assert (terms.limit, terms.rate, terms.interval_ns) == (10**6, 10**9, 200_000_000)


@pytest.mark.parametrize(
    ("lines", "limit", "interval_ns", "source"),
    [
        ("", 250_000_000, 10**9, BY_XL),
        ('rate = "100mbit"', 25_000_000, 10**9, BY_XL),
        ('interval = "200ms"', 50_000_000, 200_000_000, BY_FILE),
        ('limit = "1MB"', 1_000_000, 10**9, BY_XL),
    ],
)
def test_the_interval_of_xl_holds_where_the_file_says_none(
    places: Places, lines: str, limit: int, interval_ns: int, source: str
) -> None:
    terms = made(places, f"[default]\n{lines}\n").terms_of("any", "", VIF, 0, "", "")
    assert terms is not None
    under = terms.at_interval(10**9, BY_XL)
    assert (under.limit, under.interval_ns, under.interval_from) == (limit, interval_ns, source)
    known = terms.at_interval(0, "")
    assert known.interval_from == (BY_FILE if "interval" in lines else BY_DEFAULT)


CONFIG = f"""
[default]
policy = "real-time"
[[domain]]
name = "a"
vif = 1
policy = "hold-all"
[[domain]]
uuid = "{UUID}"
policy = "mine.toml"
[[domain]]
vif = "web0"
limit = "1MB"
"""


def test_the_terms_chosen_are_those_of_the_file(places: Places, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nextends = "tcp-only"\n')
    found = made(places, CONFIG)
    assert found.asks_for_domain

    def policy(name: str, uuid: str, vif: str, number: int, instead: str = "") -> str | None:
        terms = found.terms_of(name, uuid, vif, number, instead, "")
        return None if terms is None else terms.filters.policy

    assert policy("a", "", "vif7.1", 1) == "hold-all"
    assert policy("a", "", "vif7.0", 0) == "real-time"
    assert policy("b", UUID, "vif7.0", 0) == f"{tmp_path}/mine.toml"
    assert policy("b", "", "web0", 3) == "real-time"
    assert policy("b", "", "vif7.0", 0, "stock-remus") == "stock-remus"
    assert policy("b", "", "vif7.0", 0, "tpc-only") is None
    terms = found.terms_of("b", "", "web0", 3, "hold-all", "")
    assert terms is not None
    assert (terms.limit, terms.filters.policy) == (10**6, "hold-all")


def test_the_environment_can_ask_for_another_way_if_it_is_ready(places: Places) -> None:
    both = '[[domain]]\nname = "a"\ndecouple = false\n[[domain]]\nname = "b"\n'
    found = made(places, both)

    def decouples(name: str, word: str, policy: str = "") -> bool | None:
        terms = found.terms_of(name, "", VIF, 0, policy, word)
        return None if terms is None else terms.filters.decouple

    assert (decouples("a", ""), decouples("b", "")) == (False, True)
    assert (decouples("a", "yes"), decouples("b", "no")) == (True, False)
    assert decouples("b", "no", "hold-all") is False
    assert decouples("b", "maybe") is None
    assert made(places, "").terms_of("a", "", VIF, 0, "", "no") is None


def test_no_file_of_domains_is_ready_too(places: Places) -> None:
    found = made(places)
    terms = found.terms_of("any", "", VIF, 0, "", "")
    assert terms is not None
    assert (terms.filters.policy, found.asks_for_domain) == ("tcp-only", False)


@pytest.mark.parametrize("change", ["config", "policy", "config gone", "config comes"])
def test_any_change_of_a_source_makes_it_worthless(
    places: Places, tmp_path: Path, change: str
) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nextends = "tcp-only"\n')
    made(places, None if change == "config comes" else CONFIG)
    if change == "policy":
        (tmp_path / "mine.toml").write_text('name = "other"\nextends = "tcp-only"\n')
    elif change == "config gone":
        Path(places.config).unlink()
    else:
        Path(places.config).write_text("")
    assert read_ready(places.ready, places.config) is None


def test_it_counts_for_its_own_file_of_domains_only(places: Places, tmp_path: Path) -> None:
    made(places)
    assert read_ready(places.ready, str(tmp_path / "other.toml")) is None


def test_a_file_that_others_may_write_is_not_believed(places: Places) -> None:
    made(places)
    os.chmod(places.ready, 0o666)
    assert read_ready(places.ready, places.config) is None


def test_what_has_mistakes_is_not_made_ready_and_what_was_there_goes(places: Places) -> None:
    made(places)
    Path(places.config).write_text('[default]\npolicy = "gone.toml"\n')
    assert not make_ready(places)
    assert not Path(places.ready).exists()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=count(sample=60, long=3_000),
)
@given(st.data())
def test_a_damaged_file_is_not_believed(places: Places, data: st.DataObject) -> None:
    path = Path(places.ready)
    if not path.exists():
        made(places)
        path.with_suffix(".whole").write_bytes(path.read_bytes())
    whole = path.with_suffix(".whole").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from(
            [
                whole[:at],
                whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
                whole[:at] + whole[at + 1 :],
                whole[at:],
            ]
        )
    )
    path.write_bytes(damaged)
    # A digit of the checksum with a zero before it says the same.
    assert damaged == whole or read_ready(places.ready, places.config) is None


def test_another_version_is_not_believed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    made(places)
    monkeypatch.setattr(ready, "FORMAT", ready.FORMAT + 1)
    assert read_ready(places.ready, places.config) is None


CALL = {"vifname": "vif1.0-emu", "XENBUS_PATH": "/libxl/3/remus/netbuf/2/"}


def test_a_call_has_both_devices_of_the_card() -> None:
    call = read_call(["setup"], CALL)
    assert isinstance(call, Call)
    assert (call.vif, call.devices) == ("vif1.0", ("vif1.0", "vif1.0-emu"))
    assert (call.domid, call.devid, call.path) == (3, 2, "/libxl/3/remus/netbuf/2")
    assert read_call(["setup"], CALL | {"vifname": "a" * 15}).devices == ("a" * 15,)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/libxl/x/remus/netbuf/0", "/libxl/3/remus/netbuf/0/x", "libxl/3/remus/netbuf/0"],
)
def test_a_path_that_libxl_does_not_make_is_refused(path: str) -> None:
    with pytest.raises(BadCall, match="XENBUS_PATH"):
        read_call(["setup"], CALL | {"XENBUS_PATH": path})


def test_a_source_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """The long way says what is wrong with it."""
    os.mkfifo(tmp_path / "remusnet.toml")
    with pytest.raises(ValueError, match="not a file"):
        ready.content(str(tmp_path / "remusnet.toml"))
    assert ready.content(str(tmp_path / "none.toml")) is None


def test_a_memory_budget_is_a_limit_by_the_time_the_script_reads_it(places: Places) -> None:
    """So it costs a setup nothing."""
    found = made(places, '[default]\nmemory = "64MB"\n[[domain]]\nname = "x"\nlimit = "1MB"\n')
    for name, limit in (("other", 5_120_000), ("x", 1_000_000)):
        terms = found.terms_of(name, "", "vif1.0", 0, "", "")
        assert terms is not None
        assert terms.limit == limit
