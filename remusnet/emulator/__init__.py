"""Remus without Xen: traffic, a guest, its plug, checkpoints, failures and a network, simulated.

Pure and deterministic: the same scenario and seed give the same bytes.
"""

from __future__ import annotations
