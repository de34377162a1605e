"""Run the command line as `python -m bursar.cli`: what the demo starts, where no script is installed."""

from bursar.cli import main

main(prog_name="bursar")
