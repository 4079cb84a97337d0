"""Published tables written elsewhere: to files, and to databases."""
