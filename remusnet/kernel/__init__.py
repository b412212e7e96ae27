"""The only door to netlink: what the kernel has, and how it becomes what a plan says."""

from __future__ import annotations
