"""The run directory: what goes wrong there, and locks that end with their holder."""
