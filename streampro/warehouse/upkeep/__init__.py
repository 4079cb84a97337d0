"""Keeping a warehouse in order: what is removed, checked, mended and forgotten."""
