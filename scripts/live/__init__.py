"""``scripts/live-table``: a softphone under Remus, live, beside what ``simulate`` predicts."""
