"""What is known of the columns of a pipeline: where each comes from, and which hold secrets."""
