"""From a plan to the kernel and back: apply, remove, and verify, which compares the two."""
