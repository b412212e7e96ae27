"""Who says what: calls, SIP, TCP, lookups and tunnels, and their frames as bytes."""
