"""What guest and peers say: calls, SIP, TCP, lookups and tunnels, and their frames as bytes."""
