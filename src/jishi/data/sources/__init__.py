"""Where rows come from: one kind of file a module, each yielding raw rows lazily with the place they stand at."""
