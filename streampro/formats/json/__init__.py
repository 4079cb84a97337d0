"""How is JSON read that is more than an object per line: lists inside, whole documents, types."""
