"""From filters and devices to a plan: operations in a safe order, their undo, and their text.

`remusnet.plan("vif1.0")` makes one: see `remusnet.api.protection.plan`.
"""

from __future__ import annotations
