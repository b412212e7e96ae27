"""Two hosts for one service: under Remus, or as an active one and a standby.

Both are told by roles, not by machines: the hosts are alike, so who has which role is no state.
"""

from __future__ import annotations

from collections.abc import Mapping

from remusnet.availability.distributions import Exponential
from remusnet.availability.models.parameters import Values
from remusnet.availability.module import Module
from remusnet.availability.net import Servers


def remus(values: Values) -> Module:
    """Two hosts under Remus: the guest ``Run``s on one; its memory, ``Image``, is on either.

    The other host is a Spare in step with it. If the first fails, the Spare takes over (Failover)
    from the last checkpoint: what the guest has done since is lost, so for as long as that was
    (LostEpoch) what is being set up has to be done again. Or, by chance, both run (Split) until an
    operator ends it and boots the guest. What is repaired is copied to (Sync) before it is a Spare
    again; until then nothing is protected, and a failure stops the guest (Dark). A hypervisor fails
    with its host's guest, and is repaired sooner than a host.
    """
    module = Module("remus")
    run, image = module.port("Run"), module.port("Image")
    spare, sync = module.place("Spare", 1), module.place("Sync")
    fallen, failover = module.place("Fallen"), module.place("Failover")
    lost = module.place("LostEpoch")
    split, dark, ready = module.place("Split"), module.place("Dark"), module.place("Ready")
    for kind in ("host", "hypervisor"):
        broken = module.place(f"{kind}Broken")
        life = Exponential(values[f"{kind}.mttf"])
        module.timed(f"{kind}Fails", life).takes(run).puts(broken).puts(fallen)
        module.timed(f"{kind}SpareFails", life).takes(spare).puts(broken)
        module.timed(f"{kind}SyncFails", life).takes(sync).puts(broken)
        repair = Exponential(values[f"{kind}.mttr"])
        module.timed(f"{kind}Repair", repair, servers=Servers.INFINITE).takes(broken).puts(ready)
    share = values["remus.splitbrain"]
    module.immediate("takes over", weight=1 - share).takes(fallen).takes(spare).puts(failover)
    if share:
        both = module.immediate("both run", weight=share)
        both.takes(fallen).takes(spare).takes(image).puts(split)
    alone = module.immediate("alone").takes(fallen).takes(image).puts(dark)
    alone.inhibited_by(spare)
    module.timed("failover", Exponential(values["remus.failover"])).takes(failover).puts(lost)
    module.timed("done again", Exponential(values["remus.epoch"])).takes(lost).puts(run)
    module.timed("one ends", Exponential(values["splitbrain.mttr"])).takes(split).puts(run).puts(
        image
    )
    module.immediate("back", priority=2).takes(ready).takes(dark).puts(run).puts(image)
    module.immediate("joins").takes(ready).puts(sync)
    module.timed("copy", Exponential(values["remus.copy"])).takes(sync).needs(run).puts(spare)
    return module


def active_standby(values: Values, lives: Mapping[str, tuple[float, float]]) -> Module:
    """An ``Active`` and a Standby, each with all that it needs; the Standby takes the address over.

    ``lives``: each kind of failure of either, as mean seconds to it and to the Standby being
    whole again. Both run (Split) by the same chance as under Remus.
    """
    module = Module("active-standby")
    active, standby = module.port("Active"), module.place("Standby", 1)
    fallen, taking = module.place("Fallen"), module.place("Takeover")
    split, dark, ready = module.place("Split"), module.place("Dark"), module.place("Ready")
    for kind, (mttf, mttr) in lives.items():
        broken = module.place(f"{kind}Broken")
        module.timed(f"{kind}Fails", Exponential(mttf)).takes(active).puts(broken).puts(fallen)
        module.timed(f"{kind}StandbyFails", Exponential(mttf)).takes(standby).puts(broken)
        module.timed(f"{kind}Repair", Exponential(mttr), servers=Servers.INFINITE).takes(
            broken
        ).puts(ready)
    share = values["remus.splitbrain"]
    module.immediate("takes over", weight=1 - share).takes(fallen).takes(standby).puts(taking)
    if share:
        module.immediate("both run", weight=share).takes(fallen).takes(standby).puts(split)
    module.immediate("alone").takes(fallen).puts(dark).inhibited_by(standby)
    module.timed("takeover", Exponential(values["standby.takeover"])).takes(taking).puts(active)
    module.timed("one ends", Exponential(values["splitbrain.mttr"])).takes(split).puts(active)
    module.immediate("back", priority=2).takes(ready).takes(dark).puts(active)
    module.immediate("joins").takes(ready).puts(standby)
    return module
