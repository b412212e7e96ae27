"""What a run, an apply or a recovery came to: values, which reports show and callers read."""
