"""The run directory: files that only root can change, and locks that end with their holder."""
