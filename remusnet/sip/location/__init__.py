"""The location service (RFC 3261, 10.3): where each user can be reached."""

from __future__ import annotations

from remusnet.sip.bindings import Binding, Contact, Update
from remusnet.sip.location.service import Found, Location, Locations, Lookup, Register, Registered

__all__ = [
    "Binding",
    "Contact",
    "Found",
    "Location",
    "Locations",
    "Lookup",
    "Register",
    "Registered",
    "Update",
]
