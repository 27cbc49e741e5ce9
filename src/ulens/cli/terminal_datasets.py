"""What a terminal shows of public data sets: the list, the terms, the transfer."""

from collections.abc import Iterable

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from ulens.cli.terminal import console, progress_bar, say
from ulens.datasets.catalogue import Dataset
from ulens.jobs.datasets import DatasetEvent, Note, Ready, Step, Terms


def show_datasets(datasets: Iterable[Dataset]) -> None:
    """Show the list of data sets, their terms and what to cite."""
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("shows")
    table.add_column("archive", no_wrap=True, justify="right")
    names: dict[tuple[str, str, str], list[str]] = {}
    for each in datasets:
        size = f"{each.size_mb:,} MB" if each.size_mb is not None else ""
        table.add_row(escape(each.name), escape(each.shows), size)
        names.setdefault((each.terms, each.terms_page, each.cite), []).append(each.name)
    console.print(table)
    for (terms, page, cite), named in names.items():
        say(f"\n{', '.join(named)}")
        say(f"terms   {terms}")
        say(f"        in full: {page}")
        say(f"cite    {cite}")
    say("\nto fetch one: ulens datasets NAME -o FOLDER --accept-terms")


def show_fetch(events: Iterable[DatasetEvent]) -> Ready | None:
    """Show how a data set arrives; return its last event, if it came to that."""
    ready = None
    with progress_bar() as progress:
        task = progress.add_task("", total=None, details="", visible=False)
        for event in events:
            match event:
                case Terms(dataset=dataset):
                    _show_terms(dataset)
                case Note(text=text):
                    say(text)
                case Step(stage=stage, num_bytes=num_bytes, total_bytes=total):
                    of = f" of {decimal(total)}" if total is not None else ""
                    progress.update(
                        task,
                        visible=True,
                        description=stage,
                        completed=num_bytes,
                        total=total,
                        details=f"{decimal(num_bytes)}{of}",
                    )
                case Ready(dataset=dataset, train_command=command):
                    ready = event
                    progress.update(task, visible=False)
                    say(f"{dataset.name} is ready; to train on it: {command}")
    return ready


def _show_terms(dataset: Dataset) -> None:
    console.print(f"[bold]{escape(dataset.name)}[/bold]: {escape(dataset.shows)}")
    say(f"from    {dataset.made_by}")
    say(f"        {dataset.url}")
    say(f"terms   {dataset.terms}")
    say(f"        in full: {dataset.terms_page}")
    say(f"cite    {dataset.cite}")
