"""What a filter asks for, in tc's syntax and in JSON: one form for each tc classifier."""

from __future__ import annotations

from remusnet.classify.filters import BpfMatch, Match, U32Match

Json = dict[str, object]


def selector_words(match: Match) -> tuple[str, ...]:
    """The arguments of ``tc filter add`` from the classifier's name on: ``u32 match ...``."""
    match match:
        case U32Match(keys):
            words = [f"match u32 {k.value:#010x} {k.mask:#010x} at {k.offset}" for k in keys]
            return tuple(" ".join(("u32", *words)).split())
        case BpfMatch(program):
            # One argument, spaces and all.
            return ("bpf", "bytecode", ",".join((str(len(program)), *map(str, program))))


def selector_json(match: Match) -> Json:
    """The same as values: ``{"classifier": "u32", "keys": [...]}``."""
    match match:
        case U32Match(keys):
            found = [
                {"offset": k.offset, "mask": f"{k.mask:#010x}", "value": f"{k.value:#010x}"}
                for k in keys
            ]
            return {"classifier": "u32", "keys": found}
        case BpfMatch(program):
            return {"classifier": "bpf", "program": [[i.op, i.yes, i.no, i.k] for i in program]}
