"""Transport (Hlaváček 2014, Fig. 16): receiver, coder, transactions, sender, and their sockets."""

from __future__ import annotations
