"""TCP in a real kernel beside the emulator's: ``scripts/tcp-table``.

`rows` says what is compared, `figures` has what came of a row on either side.
"""
