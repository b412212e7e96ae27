"""TCP in a real kernel beside the emulator's: ``scripts/tcp-table``.

`rows` says what is compared, `kernel` runs a row in a lab, where `bed` and `traffic` run, and
`table` has the figures of both sides.
"""
