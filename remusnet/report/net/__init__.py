"""Nets to look at and to take elsewhere: text, dot, SVG, PNML."""

from __future__ import annotations
