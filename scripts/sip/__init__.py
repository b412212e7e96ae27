"""Faults under load: `scripts/sip-chaos`."""
