"""`python -m intnet.training`: the trainer without the rest of the command line."""

from intnet.training.train import main

main()
