"""A policy as flower filters, behind u32 filters that hold what flower can't judge."""
