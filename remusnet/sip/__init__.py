"""A SIP registrar, location service and stateful proxy, made of supervised actors.

The rooms are those of Hlaváček 2014, Fig. 16: transport (receiver, sender, coder, transactions),
registrar, location, proxy. ``message`` is what they all speak of.
"""

from __future__ import annotations
