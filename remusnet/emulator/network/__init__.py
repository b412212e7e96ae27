"""Between the guest's host and all its peers: delay, jitter, loss, a queue."""
