"""The guest and its host: pauses, checkpoints, the vif with its plug, and the primary's failure."""
