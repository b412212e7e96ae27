"""What the kernel has, what of it is remusnet's, and how it differs from what was applied."""
