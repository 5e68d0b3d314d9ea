"""Ways to choose the rows most worth a label: `by=margin`."""
