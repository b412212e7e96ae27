"""What the designs are made of: layers that stand on each other, calls, a tree of actors."""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.availability.distributions import Distribution, Exponential
from remusnet.availability.models.parameters import Values
from remusnet.availability.module import Module
from remusnet.availability.net import Place

TRANSPORT = ("receiver", "sender", "coder", "transactions")
CORE = ("registrar", "location", "proxy")
_MOST_RESTARTS = 3


def layer(name: str, mttr: float, boot: float, mttfs: Sequence[float]) -> Module:
    """What runs as long as what is ``Below`` it does, and fails by itself in several ways.

    It is ``Up``, Failed (and mended in ``mttr`` s), or Stopped with what is below (and starts in
    ``boot`` s).
    """
    module = Module(name)
    below = module.port("Below")
    up, failed, stopped = module.port("Up"), module.place("Failed"), module.place("Stopped")
    for number, mttf in enumerate(mttfs, 1):
        module.timed(f"fail{number}", Exponential(mttf)).takes(up).puts(failed)
    module.timed("mend", Exponential(mttr)).takes(failed).needs(below).puts(up)
    module.immediate("lost", priority=5).takes(up).puts(stopped).inhibited_by(below)
    module.timed("boot", Exponential(boot)).takes(stopped).needs(below).puts(up)
    return module


def calls(mean: float, notice: Distribution | None = None) -> Module:
    """The calls that were set up: ``Lost`` with what is ``Serving`` them, for as long as they last.

    A call that is lost would have gone on for ``mean`` s more; until then its callers miss it.
    ``notice``: how long after the server is back its loss is noticed; that time is missed as well.
    """
    module = Module("calls")
    serving = module.port("Serving")
    kept, lost = module.place("Kept", 1), module.port("Lost")
    module.immediate("drop", priority=4).takes(kept).puts(lost).inhibited_by(serving)
    over = module.timed("over", Exponential(mean)).takes(lost).needs(serving).puts(kept)
    if notice is not None:
        noticed = module.place("Noticed")
        noticing = module.timed("notice", notice).needs(lost).needs(serving).puts(noticed)
        noticing.inhibited_by(noticed)
        over.takes(noticed)
        module.immediate("forget", priority=4).takes(noticed).inhibited_by(serving)
    return module


def tree(values: Values) -> Module:
    """The SIP server as a tree of actors, ``Alive`` while what is ``Below`` it is.

    A failed actor is restarted by its supervisor; the fourth failure within the window goes up,
    and the group is restarted as a whole; where that happens too often, the program ends and is
    started anew. While one actor restarts, no other one fails (that is 1 s in months). Restarts
    keep calls: these are in the supervisors' hands.
    """
    module = Module("tree")
    below = module.port("Below")
    alive, stopped = module.port("Alive"), module.place("Stopped")
    well = module.place("Well", 1)
    top_count, give_up = module.place("TopCount"), module.place("GiveUp")
    module.immediate("dies", priority=5).takes(alive).puts(stopped).inhibited_by(below)
    module.immediate("gives up", priority=5).takes(give_up).takes(alive).puts(stopped)
    module.timed("start", Exponential(values["app.start"])).takes(stopped).needs(below).puts(alive)
    module.timed("T7", Exponential(values["actor.window"])).takes(top_count)
    module.immediate("forget", priority=4).takes(top_count).inhibited_by(alive)
    module.immediate("forget too", priority=4).takes(give_up).inhibited_by(alive)
    groups = {"transport": {"transport": len(TRANSPORT)}, "core": dict.fromkeys(CORE, 1)}
    for name, members in groups.items():
        shared = {"Alive": alive, "Well": well, "TopCount": top_count, "GiveUp": give_up}
        module.include(name, _group(values, members), **shared)
    return module


def _group(values: Values, members: dict[str, int]) -> Module:
    """A supervisor with ``members``: so many actors behind each name."""
    module = Module("group")
    alive = module.port("Alive")
    well, top, give_up = module.port("Well"), module.port("TopCount"), module.port("GiveUp")
    count = module.place("RestartCount")
    escalated, down = module.place("Escalated"), module.place("Down")
    restart, sticky = Exponential(values["actor.restart"]), values["actor.sticky"]
    module.timed("T7", Exponential(values["actor.window"])).takes(count)
    module.immediate("forget", priority=4).takes(count).inhibited_by(alive)
    for name, actors in members.items():
        failed, back = module.place(f"{name}Failed"), module.place(f"{name}Back")
        restarting = module.place(f"{name}Restarting")
        life = Exponential(values["actor.mttf"] / actors)
        module.timed(f"{name}T1", life).takes(well).puts(failed).needs(alive)
        t2 = module.immediate(f"{name}T2", priority=2).takes(failed).puts(restarting).puts(count)
        t2.inhibited_by(count, _MOST_RESTARTS)
        t3 = module.immediate(f"{name}T3", priority=2).takes(failed).puts(escalated)
        t3.needs(count, _MOST_RESTARTS)
        module.timed(f"{name}Restart", restart).takes(restarting).puts(back)
        _ends(module, back, well, failed, sticky, name)
        module.immediate(f"{name}Flush", priority=4).takes(restarting).puts(well).inhibited_by(
            alive
        )
    rises = module.immediate("rises", priority=2).takes(escalated).puts(down).puts(top)
    rises.inhibited_by(top, _MOST_RESTARTS)
    ends = module.immediate("ends", priority=2).takes(escalated).puts(well).puts(give_up)
    ends.needs(top, _MOST_RESTARTS)
    back = module.place("Back")
    module.timed("Restart", restart).takes(down).puts(back)
    _ends(module, back, well, escalated, sticky, "Group")
    module.immediate("Flush", priority=4).takes(down).puts(well).inhibited_by(alive)
    return module


def _ends(
    module: Module, back: Place, well: Place, failed: Place, sticky: float, name: str
) -> None:
    """A restart's end: well, or with the chance ``sticky`` failed again."""
    module.immediate(f"{name}Ok", priority=3, weight=1 - sticky).takes(back).puts(well)
    if sticky:
        module.immediate(f"{name}Again", priority=3, weight=sticky).takes(back).puts(failed)
