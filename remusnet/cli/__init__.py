"""The command line: each module parses the words of one command, calls, and presents.

`remusnet.cli.main` has the table of the commands; `remusnet.api` does what they ask for.
"""

from __future__ import annotations
