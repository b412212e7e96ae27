"""Files of domains: what they say, every mistake in them, and the policies that they name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.host.domain_files import load_domain_file, load_either
from remusnet.plan.domains import (
    Domain,
    DomainFileError,
    DomainPolicies,
    load_domains,
    names_domains,
)
from remusnet.plan.plan import LARGEST_FRAME
from remusnet.plan.terms import Terms
from remusnet.policy import PRESETS, Policy
from remusnet.tables.mistakes import MistakenFile

UUID = "f2b1c0de-0000-4000-8000-000000000001"
PHONES = 'name = "phones"\ndefault = "hold"\n'
WHOLE = f"""
[default]
policy = "real-time"
interval = "100ms"
rate = "100mbit"

[[domain]]
name = "pbx"
vif = 1
policy = "hold-all"

[[domain]]
name = "pbx"
limit = "50MB"
classifier = "bpf"

[[domain]]
uuid = "{UUID.upper()}"
policy = "sub/phones.toml"

[[domain]]
vif = "web0"
policy = "tcp-only"
"""


def load(text: str) -> DomainPolicies:
    return load_domains(text, "d.toml", lambda word: f"/etc/{word}")


def mistakes(text: str) -> list[str]:
    with pytest.raises(DomainFileError) as caught:
        load(text)
    return [str(each) for each in caught.value.mistakes]


def test_the_first_domain_that_matches_decides_and_takes_the_rest_from_the_default() -> None:
    found = load(WHOLE)
    base = Terms("real-time", "u32", 100_000_000, 100_000_000, interval_given=True)
    assert found.default == base
    assert found.terms_of("pbx", "", "vif1.1", 1).policy == "hold-all"
    assert found.terms_of("pbx", "", "vif1.0", 0) == Terms(
        "real-time", "bpf", 100_000_000, 100_000_000, 50_000_000, interval_given=True
    )
    assert found.terms_of("other", UUID, "vif1.0", 0).policy == "/etc/sub/phones.toml"
    assert found.terms_of("other", "", "web0", 0).policy == "tcp-only"
    assert found.terms_of("other", "", "vif1.0", 0) == base


def test_vifs_take_what_they_do_not_say_from_the_default() -> None:
    found = load(
        """
        [default]
        policy = "real-time"
        rate = "100mbit"
        [[vif]]
        name = "vif1.0"
        policy = "hold-all"
        classifier = "bpf"
        memory = "64MB"
        [[vif]]
        bridge = "xenbr0"
        pattern = "vif*.0"
        interval = "100ms"
        policy = "sub/phones.toml"
        [[vif]]
        domain = "pbx"
        protect = false
        """
    )
    base = Terms("real-time", rate=100_000_000)
    first, second, third = found.vifs
    assert (first.path, first.name, first.terms) == (
        "vif[1]",
        "vif1.0",
        replace(base, policy="hold-all", classifier="bpf", memory=64_000_000),
    )
    assert (second.bridge, second.pattern) == ("xenbr0", "vif*.0")
    assert second.terms.interval_ns == 100_000_000
    assert (third.domain, third.protect, third.wants) == ("pbx", False, "domain 'pbx'")
    # What the netbuf script prepares is not theirs.
    assert found.all_terms == (base,)
    assert found.policies == ("real-time", "hold-all", "/etc/sub/phones.toml")


def test_the_policy_follows_the_name_to_another_domain_id_and_vif() -> None:
    """As after a failover: the backup host's domain has the name and UUID, and nothing else."""
    found = load(WHOLE)
    assert found.terms_of("pbx", UUID, "vif1.0", 0) == found.terms_of("pbx", UUID, "vif27.0", 0)


def test_an_empty_file_is_what_no_file_is() -> None:
    assert load("") == DomainPolicies()
    assert DomainPolicies().terms_of("any", "", "vif1.0", 0) == Terms()


def test_a_limit_is_at_least_one_frame_and_follows_rate_and_interval() -> None:
    assert Terms(rate=10**9, interval_ns=200_000_000).plug_limit == 50_000_000
    assert Terms(rate=1, interval_ns=1).plug_limit >= LARGEST_FRAME
    assert Terms(limit=100_000).plug_limit == 100_000
    assert Terms(memory=64_000_000).plug_limit == 5_120_000


def test_a_domains_own_limit_or_budget_takes_the_place_of_either_in_the_default() -> None:
    own = '[[domain]]\nname="l"\nlimit="1MB"\n[[domain]]\nname="m"\nmemory="25MB"\n'
    for default in ("limit='9MB'", "memory='90MB'"):
        found = load(f"[default]\n{default}\n{own}[[domain]]\nname='n'")
        limits = [found.terms_of(name, "", "", 0).plug_limit for name in "lmn"]
        assert limits[:2] == [1_000_000, 2_000_000]
        assert limits[2] == found.default.plug_limit != 50_000_000


def test_every_mistake_is_named_at_once() -> None:
    text = """
    defaults = 1
    [default]
    polcy = "tcp-only"
    policy = "tcp-olny"
    interval = 200
    [[domain]]
    policy = "hold-all"
    [[domain]]
    name = ""
    uuid = "12"
    vif = -1
    rate = "0gbit"
    limit = "1kB"
    classifier = "u33"
    """
    found = [each.partition("; expected ") for each in mistakes(text)]
    assert [problem for problem, _, _ in found] == [
        "defaults: unknown key (did you mean 'default'?)",
        "default.polcy: unknown key (did you mean 'policy'?)",
        "default.policy: unknown policy: 'tcp-olny' (did you mean 'tcp-only'?)",
        "default.interval: invalid time: 200",
        "domain[1]: names no domain",
        "domain[2].name: invalid name: ''",
        "domain[2].uuid: invalid UUID: '12'",
        "domain[2].vif: invalid vif: -1",
        "domain[2].classifier: unknown classifier: 'u33' (did you mean 'u32'?)",
        "domain[2].rate: invalid rate: '0gbit'",
        "domain[2].limit: invalid size: '1kB'",
    ]
    assert all(expected for _, _, expected in found)


def test_every_mistake_about_vifs_is_named_at_once_beside_those_about_domains() -> None:
    text = """
    [[domain]]
    vif = -1
    [[vif]]
    policy = "hold-all"
    [[vif]]
    name = "vif 1.0"
    pattern = "vif/*"
    bridge = 7
    domain = ""
    protect = "no"
    rate = "1"
    [[vif]]
    nmae = "vif1.0"
    name = "vif1.0"
    pattern = "vif*"
    [[vif]]
    bridge = "xenbr0"
    protect = false
    policy = "hold-all"
    [[vif]]
    bridge = "xenbr0"
    """
    found = [each.partition("; expected ") for each in mistakes(text)]
    assert [problem for problem, _, _ in found] == [
        "domain[1].vif: invalid vif: -1",
        "vif[1]: names no vif",
        "vif[2].name: invalid name: 'vif 1.0'",
        "vif[2].pattern: invalid pattern: 'vif/*'",
        "vif[2].bridge: invalid name: 7",
        "vif[2].domain: invalid name: ''",
        "vif[2].protect: invalid flag: 'no'",
        "vif[2].pattern: a name and a pattern",
        "vif[2].rate: invalid rate: '1'",
        "vif[3].nmae: unknown key (did you mean 'name'?)",
        "vif[3].pattern: a name and a pattern",
        "vif[4].policy: terms of vifs that are not to be protected",
        "vif[5]: names the same as vif[4]",
    ]
    assert all(expected for _, _, expected in found)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("vif = 1", "vif: 1 where vifs belong"),
        ("[vif]\nname = 'x'", "vif: a table where vifs belong"),
        ("vif = [1]", "vif[1]: 1 where a vif belongs"),
        ("default = 1", "default: 1 where settings belong"),
        ("domain = 1", "domain: 1 where domains belong"),
        ("domain = [1]", "domain[1]: 1 where a domain belongs"),
        ("[domain]\nname = 'x'", "domain: a table where domains belong"),
        ("[[domain]]\nname='x'\n[[domain]]\nname='x'", "domain[2]: names the same as domain[1]"),
        ("[default", "end of document: broken TOML"),
        ('[default]\npolicy="a\\nb/c"', "default.policy: invalid path"),
        ("[default]\nlimit='1TB'", "default.limit: invalid size"),
        ("[default]\nmemory='1TB'", "default.memory: invalid size"),
        ("[default]\nmemory='64kB'", "default.memory: invalid size: '64kB'"),
        ("[default]\nmemory='64MB'\nlimit='1MB'", "default.memory: a limit and a memory budget"),
        ("[default]\ninterval='0'", "default.interval: invalid time: '0'"),
        ("[default]\ndecouple='no'", "default.decouple: invalid decouple: 'no'"),
        ("[default]\nvif=true", "default.vif: unknown key"),
        ("[[domain]]\nvif=true", "domain[1].vif: invalid vif: true"),
        ("[[domain]]\nvif='a b'", "domain[1].vif: invalid vif: 'a b'"),
    ],
)
def test_a_mistake_says_where_it_is(text: str, mistake: str) -> None:
    (found,) = mistakes(text)
    assert found.startswith(mistake)


def test_the_keys_tell_a_file_of_domains_from_a_policy(tmp_path: Path) -> None:
    assert not names_domains(PHONES)
    assert names_domains(WHOLE)
    assert names_domains("[default]\n")
    assert names_domains("[[vif]]\n")
    policy, domains = tmp_path / "phones.toml", tmp_path / "remusnet.toml"
    policy.write_text(PHONES)
    domains.write_text("[[domain]]\nname = 'a'\npolicy = './phones.toml'\n")
    assert isinstance(load_either(str(policy)), Policy)
    assert isinstance(load_either(str(domains)), DomainPolicies)


def test_paths_of_policies_start_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/phones.toml").write_text(PHONES)
    file = tmp_path / "remusnet.toml"
    file.write_text(WHOLE)
    found = load_domain_file(str(file))
    assert found.policies[str(tmp_path / "sub/phones.toml")].name == "phones"
    assert found.policies["real-time"] is PRESETS["real-time"]


def test_the_mistakes_of_the_policies_that_a_file_names_are_its_own(tmp_path: Path) -> None:
    file, phones = tmp_path / "remusnet.toml", tmp_path / "phones.toml"
    file.write_text("[default]\npolicy='phones.toml'\n[[domain]]\nname='a'\npolicy='./no.toml'\n")
    phones.write_text("name = 'p'\n")
    with pytest.raises(DomainFileError) as caught:
        load_domain_file(str(file))
    assert [str(each) for each in caught.value.mistakes] == [
        f"{tmp_path}/no.toml: No such file or directory; expected a file to read",
        f'{phones}: default: missing; expected "hold" or "bypass"',
    ]


@pytest.mark.parametrize("content", [b"\xff", b"#" * (1 << 21), None])
def test_a_file_that_can_not_be_read_is_a_mistake(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "remusnet.toml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(MistakenFile):
        load_either(str(file))


@given(st.text(), st.lists(st.sampled_from(WHOLE.splitlines())))
def test_no_text_gives_anything_but_policies_or_mistakes(text: str, lines: list[str]) -> None:
    for each in (text, "\n".join(lines), WHOLE.replace(WHOLE[len(text) : len(text) + 3], text)):
        try:
            assert isinstance(load(each), DomainPolicies)
        except MistakenFile as error:
            one_line = "\n" not in str(error)
            assert one_line


def test_a_domain_can_be_named_by_more_than_one_of_its_marks() -> None:
    domain = Domain("a", UUID, None, Terms("hold-all"))
    policies = DomainPolicies(domains=(domain,))
    assert policies.terms_of("a", UUID, "vif1.0", 0).policy == "hold-all"
    assert policies.terms_of("a", "", "vif1.0", 0).policy == "tcp-only"
