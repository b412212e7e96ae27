"""What policies become, in few words: a line for each thing that a user or the kernel could see.

For processes of their own: ``python -m tests.lib.digests``. Each line is a name and the digest of a
plan as JSON or as a script, of a policy's file, or of what is said of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from remusnet.errors import InvalidInput
from remusnet.host.netbuf.compiled import make_ready
from remusnet.host.netbuf.places import Places
from remusnet.kernel.wire.messages import encode
from remusnet.plan.plan import CLASSIFIERS, Plan, build_plan
from remusnet.plan.render import render
from remusnet.policy import PRESETS, Match, Policy, Rule, Verdict
from remusnet.policy.policy import TCP, UDP, Fragment, Link, PayloadClass, PortRange, Tunnel
from remusnet.policy.toml import load, to_toml
from remusnet.report.policies import policy_json
from tests.lib.policies import NETWORKS

REPOSITORY = Path(__file__).parents[2]
_DRAWN = 30
_VALUES: dict[str, list[Any]] = {
    "link": list(Link),
    "ethertype": [0x0800, 0x86DD, 0x0806, 0x8847],
    "fragment": list(Fragment),
    "payload": list(PayloadClass),
    "tunnel": list(Tunnel),
    "dscp": list(range(64)),
    "protocol": [TCP, UDP, 47, 132],
    "icmp_type": [0, 8, 128, 133, 135],
    "source": NETWORKS,
    "destination": NETWORKS,
    "port": [PortRange(0, 1023), PortRange(5004, 5005), PortRange(40000, 65535)],
}


def every_tunnel() -> Policy:
    """One rule of every tunnel: the condition whose alternatives are words and of several kinds."""
    match = Match(tunnel=frozenset(Tunnel))
    return Policy("tunnels", (Rule("all", Verdict.HOLD, match),), Verdict.BYPASS)


def drawn(number: int) -> Policy:
    """A policy of up to three rules, the same in every process."""
    random = Random(number)
    rules: list[Rule] = []
    while len(rules) < 3:
        values: dict[str, Any] = {}
        for name in random.sample(sorted(_VALUES), random.randint(1, 2)):
            some = random.sample(_VALUES[name], random.randint(1, min(4, len(_VALUES[name]))))
            ordered = name in ("source", "destination", "port")
            values[name] = tuple(some) if ordered else frozenset(some)
        try:
            match = Match(**values)
        except ValueError:
            continue
        rules.append(Rule(f"rule{len(rules)}", random.choice(list(Verdict)), match))
    return Policy(f"drawn-{number}", tuple(rules), random.choice(list(Verdict)))


def examples() -> dict[str, Policy]:
    """All policies that ship or stand in the documentation."""
    files = sorted((REPOSITORY / "docs/examples").glob("*.toml"))
    found = {path.stem: load(path.read_text(encoding="utf-8"), path.name) for path in files}
    return {**PRESETS, **found}


def lines() -> Iterator[str]:
    """All digests."""
    policies = examples() | {
        each.name: each for each in (every_tunnel(), *map(drawn, range(_DRAWN)))
    }
    for name, policy in policies.items():
        yield _line(f"{name} as a file", to_toml(policy))
        yield _line(f"{name} in words", json.dumps(policy_json(policy)))
        for classifier in CLASSIFIERS:
            what = f"{name} by {classifier}"
            try:
                plan = build_plan(
                    ["vif1.0", ("vif2.0", "vif2.0-emu")],
                    policy,
                    classifier=classifier,
                    rate=10**9,
                    interval_ns=200_000_000,
                )
            except InvalidInput as error:
                yield _line(what, str(error))
            else:
                yield _line(what, json.dumps(plan.to_json()))
                if name in examples():
                    yield _line(f"{what}, a script", render(plan, "sh"))
                yield _line(f"{what}, messages", _messages(plan))
    with TemporaryDirectory() as folder:
        places = Places({"REMUSNET_STATE_DIR": folder, "REMUSNET_CONFIG": f"{folder}/none.toml"})
        assert make_ready(places)
        # Its head and its sources name what is this machine's own.
        prepared = Path(places.ready).read_text(encoding="ascii").replace(folder.encode().hex(), "")
        yield _line("prepared messages", prepared.rpartition("end ")[0])


def _messages(plan: Plan) -> str:
    return "".join(encode(each, lambda _name: 1).hex() for each in plan.operations)


def _line(what: str, text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {what}"


if __name__ == "__main__":
    for line in lines():
        print(line)
