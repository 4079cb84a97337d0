"""A run at work: decide, stage, reconcile, audit, publish."""
