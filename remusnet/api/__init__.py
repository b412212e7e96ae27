"""The use cases of remusnet: each does for Python what a command does for a shell.

`remusnet` is the front door to them: its functions take the words of the command line
(``rate="1gbit"``) and return values. The commands and the pytest plugin call the same use cases
with values that they have read already, and present what these return.
"""

from __future__ import annotations
