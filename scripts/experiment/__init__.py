"""The SIP server under accelerated faults, beside its model: `scripts/availability-experiment`."""
