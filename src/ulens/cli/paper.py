"""The commands that go with the paper: `ulens compare` and `ulens reproduce`."""

from typing import Annotated

from ulens.cli.process import training_process
from ulens.cli.summary import Summary, keep_notes, summarized
from ulens.cli.terminal import say, show_table, show_until
from ulens.cli.terminal_datasets import show_fetch
from ulens.jobs.options import EACH_AN_OPTION
from ulens.paper.compare import Compared, run_comparison
from ulens.paper.plans import CompareSettings
from ulens.paper.reproduce import Reproduced, ReproduceSettings, fetch_data, run_reproduction


@summarized
def compare(settings: Annotated[CompareSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Compare the U-Net with its rivals on your images: same images, same time, same machine."""
    with training_process() as stop:
        compared = show_until(keep_notes(run_comparison(settings, stop), summary), Compared)
    if compared is not None:
        summary |= {"page": compared.page, "tables": compared.tables}
        for title, table in compared.tables.items():
            show_table(title, table)
        say(f"comparison {compared.page}")


@summarized
def reproduce(settings: Annotated[ReproduceSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Train as published on the paper's data, and set our scores beside its own."""
    show_fetch(fetch_data(settings))
    with training_process() as stop:
        reproduced = show_until(keep_notes(run_reproduction(settings, stop), summary), Reproduced)
    if reproduced is not None:
        summary |= {"page": reproduced.page, "table": reproduced.table}
        summary["notes"] += reproduced.notes
        show_table("ours beside the paper's", reproduced.table)
        for note in reproduced.notes:
            say(f"- {note}")
        say(f"page {reproduced.page}")
