"""`python -m jishi` is `jishi`."""

from jishi.cli import main

main()
