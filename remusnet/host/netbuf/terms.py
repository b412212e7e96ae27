"""Which policy a vif gets; where no file tells, the script holds everything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.classify.filters import Classification
from remusnet.errors import RemusnetError, quoted
from remusnet.host.domain_files import DomainFile, load_domain_file
from remusnet.host.netbuf.places import Places
from remusnet.host.netbuf.ready import NO, YES
from remusnet.plan.domains import DomainPolicies
from remusnet.plan.plan import CLASSIFIERS
from remusnet.plan.terms import HOLD_EVERYTHING, Terms
from remusnet.policy.presets import HOLD_ALL
from remusnet.policy.toml import named_policy
from remusnet.tables.documents import read_text


@dataclass(frozen=True, slots=True)
class Chosen:
    """``terms`` and the ``classification`` of their policy; ``warning``: why they are not those
    that were asked for, empty where they are.
    """

    terms: Terms
    classification: Classification
    warning: str = ""


def domain_file(places: Places) -> DomainFile:
    """The file of domains, or what holds without one. Raises MistakenFile."""
    if not Path(places.config).exists():
        return DomainFile(DomainPolicies(), {})
    return load_domain_file(places.config)


def asks_for_domain(places: Places) -> bool:
    """Whether a domain's name or UUID has to be known."""
    try:
        return domain_file(places).domains.asks_for_domain
    except RemusnetError:
        return False


def terms_of(places: Places, name: str, uuid: str, vif: str, number: int) -> Chosen:
    """What the vif ``vif``, number ``number``, of the domain ``name`` gets.

    Where the files are mistaken, or no classifier can do what they ask for: everything is held.
    """
    terms = HOLD_EVERYTHING
    try:
        file = domain_file(places)
        terms = file.domains.terms_of(name, uuid, vif, number)
        if places.policy:
            terms = replace(terms, policy=places.policy)
        terms, warning = _decoupled(terms, places.decouple)
        policy = file.policies.get(terms.policy) or named_policy(terms.policy, read_text)
        return Chosen(terms, CLASSIFIERS[terms.classifier](policy), warning)
    except RemusnetError as error:
        held = replace(terms, policy=HOLD_ALL.name, classifier=HOLD_EVERYTHING.classifier)
        warning = f"every frame of {vif} is held, for nobody can tell its policy: {error}"
        return Chosen(held, CLASSIFIERS[held.classifier](HOLD_ALL), warning)


def _decoupled(terms: Terms, word: str) -> tuple[Terms, str]:
    """``terms`` with what $REMUSNET_DECOUPLE says in the place of theirs, or why it is not done."""
    if not word:
        return terms, ""
    if word not in (YES, NO):
        return terms, f"REMUSNET_DECOUPLE is {quoted(word)}, which is neither {YES} nor {NO}"
    return replace(terms, decouple=word == YES), ""
