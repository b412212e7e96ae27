"""What the kernel tells: which process drives a plug, and what becomes of our objects."""
