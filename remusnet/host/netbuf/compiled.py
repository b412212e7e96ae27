"""Makes ready what the script needs: each policy's plan as netlink messages."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator

from remusnet.classify.filters import Classification
from remusnet.errors import RemusnetError
from remusnet.host.netbuf import ready
from remusnet.host.netbuf.places import READY, Places
from remusnet.host.netbuf.terms import domain_file
from remusnet.kernel.change.execute import harmless, prepared, together
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.state.receipt import MARKS, receipts_of
from remusnet.plan.domains import Domain
from remusnet.plan.plan import CLASSIFIERS, Plan, Protection
from remusnet.plan.rows import Operation
from remusnet.policy import PRESETS, Policy
from remusnet.tables.documents import is_path


def make_ready(places: Places) -> bool:
    """Writes the file of prepared messages; False, and none is left, where nothing can be prepared.

    Raises OSError where it can't be written.
    """
    try:
        body = "".join(f"{line}\n" for line in _lines(places))
    except (RemusnetError, ValueError, OSError):
        forget_ready(places)
        return False
    with OwnFolder(places.state_dir, make=True) as folder:
        folder.write(READY, f"{body}end {binascii.crc32(body.encode())}".encode("ascii"))
    return True


def forget_ready(places: Places) -> None:
    """Deletes it. Raises OSError."""
    try:
        with OwnFolder(places.state_dir) as folder:
            folder.delete(READY)
    except FileNotFoundError:
        return


def _lines(places: Places) -> Iterator[str]:
    """The file's lines. The sources are read before and after: what changes meanwhile shows."""
    file = domain_file(places)
    domains = file.domains
    paths = [places.config, *(each for each in domains.policies if is_path(each))]
    sources = {path: ready.content(path) for path in paths}
    if domain_file(places) != file:
        raise ValueError("the files change")
    yield ready.head()
    for path, found in sources.items():
        yield f"source {_hex(path)} {ready.NOTHING if found is None else found.hex()}"
    numbers: dict[tuple[str, str, bool], int] = {}
    ways = dict.fromkeys((each.classifier, each.decouple) for each in domains.all_terms)
    for policy in {**PRESETS, **file.policies}:
        for classifier, decouple in ways:
            try:
                lines = tuple(_filters(policy, file.policies.get(policy), classifier, decouple))
            except RemusnetError:
                # Not all policies suit all classifiers; one that the user asks for fails below.
                continue
            numbers[policy, classifier, decouple] = len(numbers)
            yield from lines
    for terms in domains.all_terms:
        asked_for = (terms.policy, terms.classifier, terms.decouple)
        if asked_for not in numbers:
            raise ValueError(f"{terms.classifier} can not do {terms.policy}")
        which = numbers[asked_for]
        given = (ready.YES if it else ready.NO for it in (terms.limit, terms.interval_given))
        figures = f"{terms.plug_limit} {terms.rate} {terms.interval_ns}"
        yield f"terms {which} {figures} {' '.join(given)}"
    for number, domain in enumerate(domains.domains):
        yield f"domain {_domain(domain)} {number}"
    yield f"default {len(domains.domains)}"


def _filters(word: str, policy: Policy | None, classifier: str, decouple: bool) -> Iterator[str]:
    classification = CLASSIFIERS[classifier](policy or PRESETS[word])
    way = ready.YES if decouple else ready.NO
    yield f"filters {_hex(word)} {classifier} {way} {_hex(_receipt(classification))}"
    before: Operation | None = None
    for operation, template in prepared(classification, decouple=decouple):
        template.harmless = tuple(harmless(operation))
        template.together = before is not None and together(before, operation)
        before = operation
        yield f"message {template.words()}"


def _receipt(classification: Classification) -> str:
    """What a receipt says of the filters, as members of a JSON object."""
    plan = Plan(classification, (Protection("buffer", ("vif",)),), 0)
    (receipt,) = receipts_of(plan, rate=0, interval_ns=0, shared={})
    later = {*ready.DECIDED_LATER, *MARKS}
    members = {name: value for name, value in receipt.to_json().items() if name not in later}
    return json.dumps(members)[1:-1]


def _domain(domain: Domain) -> str:
    name = ready.NOTHING if domain.name is None else _hex(domain.name)
    vif, number = ready.NOTHING, ready.NOTHING
    if isinstance(domain.vif, int):
        number = str(domain.vif)
    elif domain.vif is not None:
        vif = _hex(domain.vif)
    return f"{name} {domain.uuid or ready.NOTHING} {vif} {number}"


def _hex(text: str) -> str:
    return text.encode().hex()
