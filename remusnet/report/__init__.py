"""What people and programs read: tables, JSON, JUnit XML, HTML, figures, and assertions on metrics.

Reports know values only, neither the kernel nor the emulator.
"""

from __future__ import annotations
