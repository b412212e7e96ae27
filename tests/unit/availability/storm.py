"""An unfolded net handed to Storm: what it makes of the same places and transitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stormpy
import stormpy.gspn

if TYPE_CHECKING:
    from remusnet.availability.unfolding import Net


def storm_probability(net: Net, text: str) -> float:
    """Storm's long-run share of time in which ``text`` holds, in rational arithmetic.

    ``text`` is Storm's, with p0, p1... for the slots. Immediate transitions make it a Markov
    automaton; their weights leave it no choice, so that the largest share is the only one.
    """
    builder = stormpy.gspn.GspnBuilder()
    places = [builder.add_place(None, n, f"p{slot}") for slot, n in enumerate(net.initial)]
    for number, mode in enumerate(net.modes):
        assert mode.guard is None or not mode.guard.slots
        if mode.distribution is None:
            here = builder.add_immediate_transition(mode.priority, mode.weight, f"t{number}")
        else:
            servers = None if mode.infinite else 1
            rate = 1 / mode.distribution.mean
            here = builder.add_timed_transition(0, rate, servers, f"t{number}")
        takes, change = dict(mode.takes), dict(mode.change)
        for slot, count in mode.takes:
            builder.add_input_arc(places[slot], here, count)
        for slot in sorted({*takes, *change}):
            puts = takes.get(slot, 0) + change.get(slot, 0)
            if puts:
                builder.add_output_arc(here, places[slot], puts)
        for (slot,), count in mode.inhibitors:
            builder.add_inhibition_arc(places[slot], here, count)
    jani, _ = stormpy.gspn.build_jani_model(builder.build_gspn())
    immediate = any(mode.distribution is None for mode in net.modes)
    operator = "LRAmax" if immediate else "LRA"
    properties = stormpy.parse_properties(f"{operator}=? [ {text} ]", jani)
    model = stormpy.build_model[stormpy.Rational](jani, properties)
    result = stormpy.model_checking(model, properties[0])
    return float(result.get_value(model.initial_states[0]))
