"""A policy as u32 filters: masked words at fixed places."""
