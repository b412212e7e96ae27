"""What ``scripts/bench`` measures: one module a subject, each with a list of `Ratio`."""

from __future__ import annotations
