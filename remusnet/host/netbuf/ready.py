"""Plans made beforehand: each domain's as messages, and the files they were made from. Light.

One file of lines, written by `remusnet.host.netbuf.compiled`. It counts only as long as every file
that it was made from has the content that it had then; else the long way is taken, which is
slower and right.

    remusnet-ready FORMAT VERSION BYTE-ORDER
    source PATH CONTENT|-           a file that it was made from, or that was not there
    filters POLICY CLASSIFIER yes|no RECEIPT    decoupled or not
    message TEMPLATE                of the plan with those filters (`remusnet.kernel.wire.codec`)
    terms FILTERS LIMIT RATE INTERVAL yes|no yes|no     limit and interval asked for or not
    domain NAME|- UUID|- VIF|- NUMBER|- TERMS
    default TERMS
    end CHECKSUM

Texts and bytes are in hexadecimal; FILTERS and TERMS count what stands before, from 0.
"""

from __future__ import annotations

import binascii
import os
import stat
import sys

import remusnet
from remusnet.host.netbuf.interval import BY_DEFAULT, BY_FILE
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.wire.codec import Template, read_template
from remusnet.plan.devices import plug_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = 4
NOTHING = "-"
YES, NO = "yes", "no"
DECIDED_LATER = (
    *("phase", "buffer", "sink", "vifs", "shared", "indexes"),
    *("limit", "rate", "interval_ns", "interval_from"),
)
"""What a receipt says beside the filters and what it notes of the kernel."""
_LARGEST = 16 << 20
_LARGEST_SOURCE = 1 << 20


class Filters:
    """A plan with the filters of one policy. ``decouple``: whether they mirror what they hold;
    ``receipt``: the part of a receipt that they decide, in JSON; ``messages``: in words.
    """

    __slots__ = ("classifier", "decouple", "messages", "policy", "receipt")

    def __init__(self, policy: str, classifier: str, decouple: bool, receipt: str) -> None:
        self.policy = policy
        self.classifier = classifier
        self.decouple = decouple
        self.receipt = receipt
        self.messages: list[str] = []

    @property
    def templates(self) -> list[Template]:
        """The messages of the plan, in order. Raises ValueError."""
        return [read_template(each) for each in self.messages]


class ReadyTerms:
    """``filters`` with the ``limit`` (bytes), ``rate`` (bits a second) and ``interval_ns``.

    ``given``: whether the user has asked for the limit, and for the interval; ``interval_from``:
    where that comes from.
    """

    __slots__ = ("filters", "given", "interval_from", "interval_ns", "limit", "rate")

    def __init__(
        self,
        filters: Filters,
        limit: int,
        rate: int,
        interval_ns: int,
        given: tuple[bool, bool] = (False, False),
    ) -> None:
        self.filters = filters
        self.limit = limit
        self.rate = rate
        self.interval_ns = interval_ns
        self.given = given
        self.interval_from = BY_FILE if given[1] else BY_DEFAULT

    def at_interval(self, interval_ns: int, interval_from: str) -> ReadyTerms:
        """The same for an xl that takes checkpoints so often (0: unknown)."""
        limit_given, interval_given = self.given
        if interval_given or not interval_ns:
            return self
        limit = self.limit if limit_given else plug_limit(self.rate, interval_ns)
        found = ReadyTerms(self.filters, limit, self.rate, interval_ns, self.given)
        found.interval_from = interval_from
        return found


class Ready:
    """All that is ready."""

    __slots__ = ("_default", "_domains", "_filters")

    def __init__(
        self,
        filters: Sequence[Filters],
        domains: Sequence[tuple[tuple[str | None, str | None, str | int | None], ReadyTerms]],
        default: ReadyTerms,
    ) -> None:
        self._filters = filters
        self._domains = domains
        self._default = default

    @property
    def asks_for_domain(self) -> bool:
        """Whether anything depends on a domain's name or UUID."""
        return any(name is not None or uuid is not None for (name, uuid, _), _ in self._domains)

    def terms_of(
        self, name: str, uuid: str, vif: str, number: int, policy: str, decouple: str
    ) -> ReadyTerms | None:
        """The terms of a vif; ``policy`` and ``decouple`` (``yes`` or ``no``): the words that take
        the place of theirs, if not empty.

        None where that is not ready.
        """
        terms = self._default
        for (name_, uuid_, vif_), each in self._domains:
            if name_ in (None, name) and uuid_ in (None, uuid) and vif_ in (None, vif, number):
                terms = each
                break
        if not policy and not decouple:
            return terms
        usual = terms.filters
        wanted = (
            policy or usual.policy,
            usual.classifier,
            decouple or (YES if usual.decouple else NO),
        )
        for filters in self._filters:
            if (filters.policy, filters.classifier, YES if filters.decouple else NO) == wanted:
                return ReadyTerms(filters, terms.limit, terms.rate, terms.interval_ns, terms.given)
        return None


def head() -> str:
    """The first line that this remusnet writes on this machine, and the only one it reads."""
    return f"remusnet-ready {FORMAT} {remusnet.__version__} {sys.byteorder}"


def read_ready(path: str, config: str) -> Ready | None:
    """What the file at ``path`` has ready for the file of domains ``config``.

    None where it is missing, damaged, of another version, where others can change it, or where a
    file that it was made from has changed.
    """
    try:
        text = _read_own(path)
        body, end, checksum = text.rpartition("end ")
        if not end or int(checksum) != binascii.crc32(body.encode()):
            return None
        return _parse(body, config)
    except (OSError, ValueError, LookupError):
        return None


def content(path: str) -> bytes | None:
    """The content of a file; None where there is none.

    Raises OSError; ValueError for what is too large, or no file.
    """
    try:
        # Not to wait for the writer of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a file")
        found = file.read(_LARGEST_SOURCE + 1)
    if len(found) > _LARGEST_SOURCE:
        raise ValueError("too large")
    return found


def _read_own(path: str) -> str:
    folder, _, name = path.rpartition("/")
    with OwnFolder(folder) as opened:
        return opened.read(name, _LARGEST).decode("ascii")


def _parse(body: str, config: str) -> Ready | None:
    lines = body.splitlines()
    if lines[0] != head():
        return None
    filters: list[Filters] = []
    terms: list[ReadyTerms] = []
    domains: list[tuple[tuple[str | None, str | None, str | int | None], ReadyTerms]] = []
    sources: list[str] = []
    default = None
    for line in lines[1:]:
        kind, _, rest = line.partition(" ")
        if kind == "message":
            filters[-1].messages.append(rest)
            continue
        words = rest.split(" ")
        if kind == "source":
            sources.append(_text(words[0]))
            if content(sources[-1]) != (None if words[1] == NOTHING else bytes.fromhex(words[1])):
                return None
        elif kind == "filters":
            filters.append(Filters(_text(words[0]), words[1], words[2] == YES, _text(words[3])))
        elif kind == "terms":
            which, limit, rate, interval_ns = map(int, words[:4])
            given = (words[4] == YES, words[5] == YES)
            terms.append(ReadyTerms(filters[which], limit, rate, interval_ns, given))
        elif kind == "domain":
            name, uuid, vif, number, which_terms = words
            wanted = (
                None if name == NOTHING else _text(name),
                None if uuid == NOTHING else uuid,
                int(number) if number != NOTHING else None if vif == NOTHING else _text(vif),
            )
            domains.append((wanted, terms[int(which_terms)]))
        elif kind == "default":
            default = terms[int(words[0])]
        else:
            return None
    if default is None or sources[:1] != [config]:
        return None
    return Ready(filters, domains, default)


def _text(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode()
