"""What is wrong with a policy file: all of it at once, each with its place and what is right."""

from __future__ import annotations

import time

import pytest

from remusnet.errors import InvalidInput
from remusnet.policy.mistakes import Mistake, PolicyFileError
from remusnet.policy.toml import MOST_RULES, load

HEAD = 'name = "p"\ndefault = "hold"\n'
RULE = HEAD + '[[rule]]\nverdict = "hold"\n'


def mistakes(text: str) -> list[Mistake]:
    with pytest.raises(PolicyFileError) as caught:
        load(text, "p.toml")
    return list(caught.value.mistakes)


def test_all_mistakes_are_named_in_one_go_with_their_paths() -> None:
    text = """
    name = "a b"
    descripton = "x"
    default = "drop"
    [[rule]]
    verdict = "hold"
    protocol = "tcp"
    source-port = [80, 70000]
    [[rule]]
    name = "odd"
    protocol = "upd"
    source = "192.0.2.1/24"
    """
    assert [(mistake.path, mistake.problem) for mistake in mistakes(text)] == [
        ("descripton", "unknown key (did you mean 'description'?)"),
        ("name", "invalid name: 'a b'"),
        ("default", "unknown verdict: 'drop'"),
        ("rule[1].source-port[2]", "invalid port: 70000"),
        ("rule[2].name", "reserved name: 'odd'"),
        ("rule[2].verdict", "missing"),
        ("rule[2].protocol", "unknown protocol: 'upd' (did you mean 'udp'?)"),
        ("rule[2].source", "host bits set: '192.0.2.1/24'"),
    ]


def test_the_error_is_one_line_with_origin_count_and_first_mistake() -> None:
    with pytest.raises(InvalidInput) as caught:
        load('name = "p"\ndefault = "drop"\nrule = 1', "p\n.toml")
    assert str(caught.value) == (
        "'p\\n.toml': 2 mistakes, the first: "
        'default: unknown verdict: \'drop\'; expected "hold" or "bypass"'
    )
    with pytest.raises(InvalidInput, match=r'^p.toml: default: missing; expected "hold" or'):
        load('name = "p"', "p.toml")


PROTOCOLS = (
    "one of icmp, igmp, ipip, tcp, udp, dccp, ipv6, gre, esp, icmpv6, ospf, etherip, pim, vrrp, "
    "l2tp, sctp, udplite, or 0-255"
)
ETHERTYPES = (
    "one of ipv4, arp, rarp, ipv6, pppoe-discovery, pppoe, mpls, mpls-multicast, eapol, lldp, ptp, "
    "or 0x0600-0xffff"
)
PAYLOADS = 'one of "rtp", "rtcp", "stun", "dtls", "turn"'
FRAGMENTS = 'one of "whole", "first", "later"'
PORTS = '0-65535, or a range such as "10000-20000"'
ADDRESSES = 'an address or a prefix, such as "192.0.2.0/24" or "2001:db8::/32"'


@pytest.mark.parametrize(
    ("key", "value", "problem", "expected"),
    [
        ("protocol", "true", "invalid protocol: true", PROTOCOLS),
        ("protocol", "17.0", "invalid protocol: 17.0", PROTOCOLS),
        ("protocol", "nan", "invalid protocol: nan", PROTOCOLS),
        ("protocol", "-1", "invalid protocol: -1", PROTOCOLS),
        ("protocol", "256", "invalid protocol: 256", PROTOCOLS),
        ("protocol", "0x" + "f" * 5000, "invalid protocol: a number beyond 64 bits", PROTOCOLS),
        ("protocol", "2024-01-01", "invalid protocol: a date or time", PROTOCOLS),
        ("protocol", "{udp = 17}", "invalid protocol: a table", PROTOCOLS),
        ("protocol", '"UDP"', "unknown protocol: 'UDP' (did you mean 'udp'?)", PROTOCOLS),
        ("protocol", '"\\u001b"', "unknown protocol: '\\x1b'", PROTOCOLS),
        ("protocol", f'"{"x" * 99}"', f"unknown protocol: '{'x' * 60}...'", PROTOCOLS),
        ("protocol", '"17"', "protocol in quotes: '17'", "0-255 without quotes"),
        (
            "protocol",
            "51",
            "protocol 51 is an extension header or AH, and those are looked through",
            'the protocol behind it, or fragment = ["first", "later"] for fragments',
        ),
        ("protocol", "[]", "an empty list", "at least one value, or no such key"),
        (
            "ethertype",
            "0x8100",
            "ethertype 0x8100 is a VLAN tag, and tags are looked through",
            'link = "tagged"',
        ),
        ("ethertype", "1500", "invalid ethertype: 1500", ETHERTYPES),
        ("ethertype", '"apr"', "unknown ethertype: 'apr' (did you mean 'arp'?)", ETHERTYPES),
        ("source", '"192.0.2.7/24"', "host bits set: '192.0.2.7/24'", '"192.0.2.0/24"'),
        ("address", '"2001:db8::1/32"', "host bits set: '2001:db8::1/32'", '"2001:db8::/32"'),
        (
            "destination",
            '"::ffff:192.0.2.0/120"',
            "an IPv4 address in IPv6 form, which no packet has: '::ffff:192.0.2.0/120'",
            '"192.0.2.0/24"',
        ),
        ("source", '"192.0.2.0/33"', "invalid address: '192.0.2.0/33'", ADDRESSES),
        ("source", '"192.0.2"', "invalid address: '192.0.2'", ADDRESSES),
        ("source", '"192.0.2.0/0.0.0.255"', "invalid address: '192.0.2.0/0.0.0.255'", ADDRESSES),
        ("source", '"fe80::1%eth0"', "invalid address: 'fe80::1%eth0'", ADDRESSES),
        ("source", '"phone.lan"', "invalid address: 'phone.lan'", ADDRESSES),
        ("source", '"192.0.2.0/"', "invalid address: '192.0.2.0/'", ADDRESSES),
        ("source", '"::/129"', "invalid address: '::/129'", ADDRESSES),
        ("source", '""', "invalid address: ''", ADDRESSES),
        # ipaddress would take the number for 192.0.2.0.
        ("source", "3221225984", "invalid address: 3221225984", ADDRESSES),
        ("port", "65536", "invalid port: 65536", PORTS),
        ("port", "-1", "invalid port: -1", PORTS),
        ("port", "true", "invalid port: true", PORTS),
        ("port", '"5060-70000"', "invalid port: 70000", PORTS),
        ("port", '"5060-"', "invalid port: '5060-'", PORTS),
        ("port", '"sip"', "invalid port: 'sip'", PORTS),
        (
            "port",
            '"20000-10000"',
            "a port range that ends before it begins: '20000-10000'",
            '"10000-20000"',
        ),
        ("icmp-type", "256", "invalid icmp-type: 256", "0-255"),
        ("icmp-type", '"echo"', "invalid icmp-type: 'echo'", "0-255"),
        ("fragment", '"frist"', "unknown fragment: 'frist' (did you mean 'first'?)", FRAGMENTS),
        ("payload", "5", "invalid payload: 5", PAYLOADS),
        ("tunnel", "[]", "an empty list", "at least one value, or no such key"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(
    key: str, value: str, problem: str, expected: str
) -> None:
    assert mistakes(f"{RULE}{key} = {value}")[0] == Mistake(f"rule[1].{key}", problem, expected)


def test_a_mistake_in_a_list_is_told_with_its_place_counted_from_1() -> None:
    assert mistakes(f'{RULE}protocol = ["udp", ["tcp"], "tcp", 300]') == [
        Mistake("rule[1].protocol[2]", "invalid protocol: a list", PROTOCOLS),
        Mistake("rule[1].protocol[4]", "invalid protocol: 300", PROTOCOLS),
    ]


@pytest.mark.parametrize(
    ("keys", "problem", "expected"),
    [
        (
            "port = 53",
            "ports need protocol tcp, udp, dccp, sctp or udplite",
            'protocol = "udp" beside them, for example',
        ),
        (
            'icmp-type = 8\nprotocol = "udp"',
            "icmp-type needs protocol icmp or icmpv6",
            'protocol = "icmp" or protocol = "icmpv6" beside it',
        ),
        (
            'payload = "rtp"\nprotocol = "tcp"',
            "payload needs protocol udp, or none",
            'protocol = "udp", or no protocol',
        ),
        (
            'payload = "rtp"\nfragment = "later"',
            "payload can only be told of whole datagrams",
            'fragment = "whole", or no fragment',
        ),
        (
            'port = 53\nprotocol = "udp"\nfragment = "later"',
            "ports can not be told of later fragments",
            'fragment = "whole" or "first", or no fragment',
        ),
        (
            'source = "192.0.2.1"\ndestination = "2001:db8::1"',
            "addresses and ethertype are of different IP versions",
            "addresses of one IP version, and its ethertype or none",
        ),
        (
            'ethertype = "arp"\nprotocol = "udp"',
            "ethertype is not IP, but other conditions are about IP",
            'ethertype = "ipv4", "ipv6" or both, or no ethertype',
        ),
    ],
)
def test_conditions_that_contradict_each_other_are_a_mistake_of_the_rule(
    keys: str, problem: str, expected: str
) -> None:
    assert mistakes(RULE + keys) == [Mistake("rule[1]", problem, expected)]


def test_a_mistaken_protocol_is_not_reported_as_a_missing_one_too() -> None:
    assert len(mistakes(f'{RULE}protocol = "upd"\nport = 53')) == 1


def test_a_contradiction_is_found_beside_other_mistakes_of_the_rule() -> None:
    found = mistakes(f"{RULE}dscp = 64\nport = 53")
    assert [mistake.path for mistake in found] == ["rule[1].dscp", "rule[1]"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "name: missing; expected at most 64 letters"),
        ('name = ""', "name: invalid name: ''; expected at most 64 letters"),
        ('name = "../../etc/x"', "name: invalid name: '../../etc/x'; expected at most 64"),
        ("name = 7", "name: invalid name: 7; expected at most 64"),
        (HEAD + 'description = "a\\nb"', "description: invalid description: 'a\\nb'; expected one"),
        (HEAD + f'description = "{"x" * 501}"', "description: invalid description: 'xxx"),
        (HEAD + "description = 1", "description: invalid description: 1; expected one line"),
        (
            'name = "p"\nextends = "realtime"',
            "extends: unknown policy: 'realtime' (did you mean 'real-time'?); expected one of",
        ),
        ('name = "p"\nextends = ["real-time"]', "extends: invalid policy: a list; expected one"),
        (HEAD + "rule = 1", "rule: 1 where rules belong; expected [[rule]], in double brackets"),
        (HEAD + '[rule]\nverdict = "hold"', "rule: a table where rules belong; expected [[rule]]"),
        (HEAD + "rule = [1]", "rule[1]: 1 where a rule belongs; expected [[rule]]"),
        (HEAD + "[[rules]]", "rules: unknown key (did you mean 'rule'?); expected one of name,"),
        (HEAD + "[[rule]]", 'rule[1].verdict: missing; expected "hold" or "bypass"'),
        (RULE + "source_port = 1", "rule[1].source_port: unknown key (did you mean 'source-port'?"),
        (RULE + 'name = "a b"', "rule[1].name: invalid name: 'a b'; expected at most 64"),
        (
            RULE + 'name = "default"',
            "rule[1].name: reserved name: 'default'; expected any name but default, odd",
        ),
        (
            RULE + 'name = "rule-2"\n[[rule]]\nverdict = "hold"',
            "rule[2].name: name taken by rule[1]: 'rule-2'; expected a name of its own",
        ),
        (
            'name = "p"\nextends = "tcp-only"\n[[rule]]\nverdict = "hold"\nname = "tcp"',
            "rule[1].name: name taken by the policy that this one extends: 'tcp'; expected",
        ),
        (
            HEAD + '[[rule]]\nverdict = "hold"\n' * (MOST_RULES + 1),
            "rule: too many rules: 1001; expected at most 1000",
        ),
        (HEAD + '"\\u001b[2J" = 1', "'\\x1b[2J': unknown key; expected one of name,"),
    ],
)
def test_a_wrong_key_or_table_is_the_first_mistake(text: str, mistake: str) -> None:
    assert str(mistakes(text)[0]).startswith(mistake)


def test_a_mistaken_base_is_not_reported_as_a_missing_default_too() -> None:
    assert len(mistakes('name = "p"\nextends = "realtime"')) == 1


def test_as_many_rules_as_allowed_are_allowed() -> None:
    text = HEAD + '[[rule]]\nverdict = "hold"\n' * MOST_RULES
    assert len(load(text, "p.toml").rules) == MOST_RULES


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("name = \n", "line 1, column 8: broken TOML: invalid value; expected key = value"),
        ('a = 1\nb "x"', "line 2, column 3: broken TOML: expected '=' after a key in a key/value"),
        ("a = [1,", "end of document: broken TOML: invalid value"),
        ("a = " + "[" * 20_000, "nested too deeply; expected keys whose values are words"),
        ("a = " + "{a=" * 20_000, "nested too deeply; expected keys whose values are words"),
        ("a = " + "9" * 5_000, "a number of too many digits; expected numbers of at most five"),
        (".".join("a" * 20_000) + " = 1", "a key of too many parts; expected plain keys"),
        ('a = "\x1b"', "line 1, column 6: broken TOML: illegal character '\\x1b'"),
    ],
)
def test_broken_toml_is_one_mistake_with_its_place(text: str, mistake: str) -> None:
    (only,) = mistakes(text)
    assert str(only).startswith(mistake)


@pytest.mark.parametrize("part", ["a", '"a"', "'a' "])
def test_a_key_of_a_hundred_thousand_parts_takes_no_time(part: str) -> None:
    """tomllib alone needs eight seconds for 20,000, and eight times as long for twice as many."""
    start = time.process_time()
    mistakes(".".join([part] * 100_000) + " = 1")
    assert time.process_time() - start < 4  # measured: a few ms
