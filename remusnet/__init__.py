"""Classify what a Remus-protected Xen guest may send before a checkpoint commits."""

from __future__ import annotations

__version__ = "0.1.0"
