"""One file a task: an objective that can answer and be scored."""
