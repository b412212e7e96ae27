"""From a policy to kernel filters, one folder a tc classifier, and the reference that they meet."""
