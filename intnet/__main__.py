"""`python -m intnet`: the command line where no script is on the path."""

from intnet.cli import main

main()
