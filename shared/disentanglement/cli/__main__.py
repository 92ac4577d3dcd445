"""`python -m disentanglement.cli`, where the command is not on the path."""

from disentanglement.cli import main

main()
