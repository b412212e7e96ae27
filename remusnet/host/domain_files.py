"""Files of domains, read from the disk, with the policy files that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from remusnet.plan.domains import DomainFileError, DomainPolicies, load_domains, names_domains
from remusnet.policy import Policy
from remusnet.policy.toml import load, named_policy
from remusnet.tables.documents import read_text
from remusnet.tables.mistakes import Mistake, MistakenFile


@dataclass(frozen=True, slots=True)
class DomainFile:
    """A file of domains, and the policies that it names, by their names there."""

    domains: DomainPolicies
    policies: Mapping[str, Policy]


def load_domain_file(path: str) -> DomainFile:
    """The file of domains at ``path``, with the policy files that it names.

    Raises DomainFileError with every mistake, those of the policy files too.
    """
    folder = Path(path).absolute().parent
    domains = load_domains(read_text(path), path, lambda word: str(folder / word))
    policies: dict[str, Policy] = {}
    mistakes: list[Mistake] = []
    for word in domains.policies:
        try:
            policies[word] = named_policy(word, read_text)
        except MistakenFile as error:
            mistakes += _with_origin(error)
    if mistakes:
        raise DomainFileError(path, tuple(mistakes))
    return DomainFile(domains, policies)


def load_either(path: str) -> Policy | DomainPolicies:
    """The content of a policy file, or of a file of domains: its keys tell which it is.

    Raises MistakenFile.
    """
    text = read_text(path)
    return load_domain_file(path).domains if names_domains(text) else load(text, path)


def _with_origin(error: MistakenFile) -> Iterable[Mistake]:
    for each in error.mistakes:
        where = f"{error.origin}: {each.path}" if each.path else error.origin
        yield Mistake(where, each.problem, each.expected)
