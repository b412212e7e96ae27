"""model.toml: a net, what is asked of it and how, read so that every mistake is noted."""

from __future__ import annotations
