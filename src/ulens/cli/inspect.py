"""The command `ulens inspect`."""

from typing import Annotated

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import say, show_rows
from ulens.jobs.inspect import InspectSettings, run_inspection
from ulens.jobs.options import EACH_AN_OPTION


@summarized
def inspect(settings: Annotated[InspectSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Show how images and labels are read, without training."""
    inspected = run_inspection(settings)
    show_rows(inspected.rows)
    for line in inspected.lines:
        say(line)
    summary |= {"num_pairs": len(inspected.rows), "pairs": inspected.rows}
    summary["notes"] += inspected.lines
