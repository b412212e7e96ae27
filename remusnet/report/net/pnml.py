"""A net as PNML (ISO/IEC 15909-2, grammar of 2009): place/transition, unfolded by colour.

Each included module is a page of its own, and a port a reference to the place that it stands for.
What the standard has no word for (times, priorities, inhibitors, guards) is in elements for
remusnet alone, which other tools pass over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Final
from xml.etree import ElementTree as ET

from remusnet.availability.distributions import Distribution
from remusnet.availability.expressions import spelled
from remusnet.availability.module import Module
from remusnet.availability.net import PLAIN
from remusnet.availability.unfolding import Mode, Net, unfolded

GRAMMAR: Final = "http://www.pnml.org/version-2009/grammar/pnml"
TYPE: Final = "http://www.pnml.org/version-2009/grammar/ptnet"
_TOOL = {"tool": "remusnet", "version": "1"}
# What XML 1.0 has no way to write, not even escaped (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def net_pnml(module: Module) -> str:
    """A document with one net. Raises InvalidInput as `unfolded`."""
    net = unfolded(module)
    top = ET.Element("pnml", {"xmlns": GRAMMAR})
    element = ET.SubElement(top, "net", {"id": "net", "type": TYPE})
    _named(element, net.name)
    _Pages(net).page(element, module, "")
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, "unicode") + "\n"


class _Pages:
    def __init__(self, net: Net) -> None:
        self._net = net
        self._pages = 0
        self._references = 0
        self._arcs = 0

    def page(self, above: ET.Element, module: Module, prefix: str) -> None:
        """Add the page of ``module``, which is at ``prefix``, and in it those that it includes."""
        page = ET.SubElement(above, "page", {"id": f"page{self._pages}"})
        self._pages += 1
        _named(page, prefix.rstrip(".").rpartition(".")[2] or module.name)
        here: dict[int, str] = {}
        for place in module.places.values():
            slots = self._net.places[spelled(f"{prefix}{place.name}")]
            for colour, slot in slots.items():
                name = place.name if colour == PLAIN else f"{place.name}[{colour}]"
                here[slot] = self._place(page, name, slot, port=place.port)
        for definition in module.transitions.values():
            for number in self._net.transitions[f"{prefix}{definition.name}"]:
                self._transition(page, number, here, prefix)
        for name, inclusion in module.inclusions.items():
            self.page(page, inclusion.module, f"{prefix}{name}.")

    def _place(self, page: ET.Element, name: str, slot: int, *, port: bool) -> str:
        if port:
            identifier = f"r{self._references}"
            self._references += 1
            _named(
                ET.SubElement(page, "referencePlace", {"id": identifier, "ref": f"p{slot}"}), name
            )
            return identifier
        place = ET.SubElement(page, "place", {"id": f"p{slot}"})
        _named(place, name)
        if self._net.initial[slot]:
            marking = ET.SubElement(place, "initialMarking")
            ET.SubElement(marking, "text").text = str(self._net.initial[slot])
        return f"p{slot}"

    def _transition(
        self, page: ET.Element, number: int, here: Mapping[int, str], prefix: str
    ) -> None:
        mode = self._net.modes[number]
        identifier = f"t{number}"
        element = ET.SubElement(page, "transition", {"id": identifier})
        _named(element, mode.name.removeprefix(prefix))
        _timing(ET.SubElement(element, "toolspecific", _TOOL), mode, here)
        puts = dict(mode.change)
        for slot, count in mode.takes:
            puts[slot] = puts.get(slot, 0) + count
            self._arc(page, here[slot], identifier, count)
        for slot, count in sorted(puts.items()):
            if count:
                self._arc(page, identifier, here[slot], count)

    def _arc(self, page: ET.Element, source: str, target: str, count: int) -> None:
        arc = ET.SubElement(
            page, "arc", {"id": f"a{self._arcs}", "source": source, "target": target}
        )
        self._arcs += 1
        if count != 1:
            inscription = ET.SubElement(arc, "inscription")
            ET.SubElement(inscription, "text").text = str(count)


def _named(element: ET.Element, name: str) -> None:
    label = ET.SubElement(element, "name")
    ET.SubElement(label, "text").text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", name)


def _timing(element: ET.Element, mode: Mode, here: Mapping[int, str]) -> None:
    if mode.distribution is None:
        values = {"priority": str(mode.priority), "weight": repr(mode.weight)}
        ET.SubElement(element, "immediate", values)
    else:
        servers = "infinite" if mode.infinite else "single"
        values = {"memory": str(mode.memory), "servers": servers}
        _distribution(ET.SubElement(element, "timed", values), mode.distribution)
    for slots, count in mode.inhibitors:
        inhibitor = ET.SubElement(element, "inhibitor", {"below": str(count)})
        for slot in slots:
            ET.SubElement(inhibitor, "of", {"place": here[slot]})
    if mode.guard is not None:
        text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", mode.guard.text)
        ET.SubElement(element, "guard").text = text


def _distribution(element: ET.Element, distribution: Distribution) -> None:
    """Times are seconds."""
    kind = type(distribution).__name__.lower()
    found = ET.SubElement(element, "distribution", {"kind": kind})
    for each in fields(distribution):  # type: ignore[arg-type]
        value = getattr(distribution, each.name)
        text = " ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
        ET.SubElement(found, "parameter", {"name": each.name, "value": text})
