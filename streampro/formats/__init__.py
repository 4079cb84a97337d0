"""How raw things are read, a file per format; below them lines and files."""
