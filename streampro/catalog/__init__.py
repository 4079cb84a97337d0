"""Which tables there are, and what is known of each: a site that needs nothing but a browser."""
