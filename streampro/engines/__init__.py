"""The only modules that import an engine or a storage library."""
