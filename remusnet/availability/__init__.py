"""Stochastic coloured Petri nets: how available a service is, by which method, and how surely.

`module.Module` builds a net, `solve.solve` measures it; `models` has those that ship. Times are
seconds, as floats: a model's horizon is centuries, where nanoseconds would be no more exact.
"""

from __future__ import annotations
