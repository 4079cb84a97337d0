"""Where tables lie: Delta tables, their data files and logs."""
