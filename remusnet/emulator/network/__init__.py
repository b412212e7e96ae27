"""Between the guest's host and everybody else: delay, jitter, loss, a queue."""
