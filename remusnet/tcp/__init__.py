"""TCP as Linux 6.1 has it, without I/O: what a sender and a receiver do, by their own clock.

`stack` says which of Linux's mechanisms are on, `congestion` how a window grows, `timing` what a
round trip is, `scoreboard` what is out, `sender` and `receiver` the two halves of one side.
"""
