"""TOML files that people write: one reader of tables, which notes every mistake.

Policies, domains, scenarios and servers are read with it. It knows what a table is, and nothing of
what is in it.
"""

from __future__ import annotations
