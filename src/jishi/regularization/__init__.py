"""One file a way to make what is learnt hold against noise."""
