"""The order of u32 filters: UDP is asked for as early as the policy allows.

Most of what bypasses is UDP: voice and video. Each filter that is asked in vain before costs all of
its frames time.
"""

from __future__ import annotations

from remusnet.classify.filters import Filter, U32Match
from remusnet.classify.u32.conditions import Context, Keys, pinned_protocol
from remusnet.classify.u32.words import describe_keys
from remusnet.policy.match import UDP
from remusnet.policy.verdict import Verdict

_WORTH = 3
"""It compares three words itself: as long as two filters take that do not match (measured)."""


def ask_for_udp_early(context: Context, filters: list[Filter]) -> None:
    """Puts a filter that lets UDP bypass before `_WORTH` or more that have nothing to say of UDP.

    No frame's verdict changes. One of the filters lets all UDP bypass that has a complete header
    (or is no later fragment, too); what stands between it and the new one lets bypass as well, or
    asks for what no such UDP is.
    """
    if not context.version:
        return
    complete = (*context.complete, context.protocol_key(UDP))
    for more in ((), (context.not_later,)) if context.has_fragments else ((),):
        udp = context.merge(context.keys, complete, more)
        assert udp is not None
        last = next((i for i, each in enumerate(filters) if _lets_pass(context, each, udp)), 0)
        first = last
        while first and not _may_hold(context, filters[first - 1], udp):
            first -= 1
        if last - first >= _WORTH:
            words = describe_keys(context, udp)
            comment = f"{context.name}: bypass {words} (asked early)"
            early = Filter(
                filters[last].pref, context.protocol, U32Match(udp), Verdict.BYPASS, comment
            )
            filters.insert(first, early)
            return


def _lets_pass(context: Context, each: Filter, udp: Keys) -> bool:
    """Whether it lets all of ``udp`` pass, among others: of its own, UDP needs no second filter."""
    keys = _keys(each)
    return (
        each.verdict is Verdict.BYPASS
        and context.merge(udp, keys) == udp
        and pinned_protocol(context, keys) is None
    )


def _may_hold(context: Context, each: Filter, udp: Keys) -> bool:
    return each.verdict is Verdict.HOLD and context.merge(udp, _keys(each)) is not None


def _keys(each: Filter) -> Keys:
    assert isinstance(each.match, U32Match)
    return each.match.keys
