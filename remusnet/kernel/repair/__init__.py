"""Keeping protections true: what differs from what was applied is mended as soon as it shows."""
