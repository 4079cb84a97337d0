"""What the compilers of all engines share: one expression becomes the SQL that agrees."""
