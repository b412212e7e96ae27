"""A scenario or a recording under policies: by stretches or frame by frame, and its outcome."""
