"""What to build: sources, contracts, models and the pipeline that links them. Pure data."""
