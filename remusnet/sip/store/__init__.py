"""The store: bindings and users in SQLite or PostgreSQL, through SQLAlchemy."""

from __future__ import annotations

from remusnet.sip.store.store import Rows, Store, StoreUnavailable, User, store_url

__all__ = ["Rows", "Store", "StoreUnavailable", "User", "store_url"]
