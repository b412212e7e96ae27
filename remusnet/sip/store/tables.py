"""The tables. A binding is a row; its address of record and its contact are its key."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, String, Table

METADATA = MetaData()

BINDINGS = Table(
    "bindings",
    METADATA,
    Column("aor", LargeBinary, primary_key=True),
    Column("contact", LargeBinary, primary_key=True),
    Column("expires", Float, nullable=False),
    Column("q", Integer, nullable=False),
    Column("call_id", LargeBinary, nullable=False),
    Column("cseq", Integer, nullable=False),
    Column("path", LargeBinary, nullable=False),  # values, separated by line feeds
    Column("source", String(128), nullable=False),
    Index("bindings_expires", "expires"),
)

# HA1 (RFC 7616, 3.4.2) is as good as the password within its realm: the file is 0600.
USERS = Table(
    "users",
    METADATA,
    Column("name", String(256), primary_key=True),
    Column("domain", String(256), primary_key=True),
    Column("ha1_sha256", String(64), nullable=False),
    Column("ha1_md5", String(32), nullable=False),
)
