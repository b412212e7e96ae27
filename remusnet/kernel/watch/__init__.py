"""What happens in the kernel, as it tells: who drives a plug, and what becomes of our objects."""
