"""What can be known of an Ibis expression, without engine or data."""
