"""`python -m daemon.cli`: the command, for whoever starts it by interpreter instead of by name."""

from daemon.cli import main

main()
