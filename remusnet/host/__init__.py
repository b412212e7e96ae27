"""This machine as a Xen host: where vifs come from, policies by domain, and Xen's netbuf script."""

from __future__ import annotations
