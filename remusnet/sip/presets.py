"""Who restarts whom: the supervision tree's strategies, by name.

| actor | thesis (Hlaváček 2014, 5.4) | resilient | none |
|---|---|---|---|
| registrar | resume | resume | ends |
| location | restart, children stop | restart, children stay | ends |
| proxy (session router) | restart, sessions stop | restart, sessions stay | ends |
| transport | restart, children stop | restart, children stay | ends |
| receiver | restart, sockets anew | restart, sockets stay | ends |
| sender | restart | restart | ends |
| coder | resume | resume | ends |
| transactions | restart, children stop | restart, children stay | ends |
| the failing message | is dropped | is processed once more | - |

The limit of all is 5 failures in 30 s; the next one stops the actor and escalates (5.4.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.actors import Directive, OnChildren, OnMessage, Strategy, Window
from remusnet.errors import InvalidInput, quoted, suggestion

WINDOW = Window(5, 30.0)
# Escalations to the top are rare; one that keeps failing must end, for systemd to start it anew.
_TOP_WINDOW = Window(10, 30.0)


@dataclass(frozen=True, slots=True)
class Preset:
    """The strategies of a server.

    ``volatile``: sockets and tables belong to the actors that use them, and go with an instance.
    """

    name: str
    resumes: Strategy  # registrar, coder
    routers: Strategy  # transport, transactions, proxy, location
    leaves: Strategy  # receiver, sender, transactions, sessions
    top: Strategy
    volatile: bool = False


def _kept(directive: Directive) -> Strategy:
    return Strategy(directive, window=WINDOW, children=OnChildren.KEEP, message=OnMessage.RETRY)


_ENDS = Strategy(Directive.ESCALATE)

RESILIENT = Preset(
    "resilient",
    resumes=_kept(Directive.RESUME),
    routers=_kept(Directive.RESTART),
    leaves=_kept(Directive.RESTART),
    top=Strategy(window=_TOP_WINDOW, children=OnChildren.KEEP),
)
THESIS = Preset(
    "thesis",
    resumes=Strategy(Directive.RESUME, window=WINDOW),
    routers=Strategy(window=WINDOW),
    leaves=Strategy(window=WINDOW),
    top=Strategy(window=WINDOW),
    volatile=True,
)
NONE = Preset("none", resumes=_ENDS, routers=_ENDS, leaves=_ENDS, top=_ENDS)

PRESETS = {preset.name: preset for preset in (RESILIENT, THESIS, NONE)}


def preset(name: str) -> Preset:
    """The preset of that name. Raises InvalidInput if there is none."""
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        hint = suggestion(name, PRESETS)
        raise InvalidInput(f"invalid supervision: {quoted(name)} is none of {known}{hint}")
    return PRESETS[name]
