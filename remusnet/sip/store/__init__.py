"""The store: bindings and users in SQLite or PostgreSQL, through SQLAlchemy."""

from __future__ import annotations

from remusnet.sip.store.store import Store, StoreUnavailable, User, store_url

__all__ = ["Store", "StoreUnavailable", "User", "store_url"]
