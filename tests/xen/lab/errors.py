"""What can go wrong with the lab itself, told apart from a test that fails in it."""

from __future__ import annotations


class LabUnavailable(Exception):
    """This machine lacks what the lab needs; the text says what, and what to do."""


class LabDied(Exception):
    """The machine ended, or didn't answer in time; the text says where its log is."""
