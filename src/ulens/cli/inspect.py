"""The command `ulens inspect`."""

from typing import Annotated

from ulens.cli.terminal import say, show_rows
from ulens.jobs.inspect import InspectSettings, run_inspection
from ulens.jobs.options import EACH_AN_OPTION


def inspect(settings: Annotated[InspectSettings, EACH_AN_OPTION]) -> None:
    """Show how images and labels are read, without training."""
    inspected = run_inspection(settings)
    show_rows(inspected.rows)
    for line in inspected.lines:
        say(line)
