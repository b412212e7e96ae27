"""Availability, for a person and for a script: text, JSON, CSV, assertions, a page."""

from __future__ import annotations
