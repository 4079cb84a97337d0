"""What was published: the ledger of runs, the tables of one run, what moved, what is kept."""
