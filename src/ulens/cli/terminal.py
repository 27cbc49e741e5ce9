"""What a terminal shows of a job: lines, a progress bar, scores in words."""

import time as clock
from collections.abc import Iterable, Iterator
from typing import TypeVar

import rich.table
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ulens.annotated.rows import PairRow
from ulens.cli.printable import PlainConsole
from ulens.jobs.inspect import Inspected
from ulens.jobs.steps import Message, Trained, TrainEvent, step_in_words
from ulens.report.page import Table, format_cell
from ulens.training.evidence import name_grounds, name_scores
from ulens.training.session import Validation
from ulens.training.trainer import StepLog

console = PlainConsole()
QUIET_SECONDS = 30.0
FEW_ROWS = 10
Result = TypeVar("Result")


class NowAndThen:
    """Says how far the work is every half minute, where no terminal shows a bar."""

    def __init__(self) -> None:
        self._last = clock.monotonic()

    def say(self, text: str) -> None:
        """Print the line, if it is time."""
        now = clock.monotonic()
        if not console.is_terminal and now - self._last >= QUIET_SECONDS:
            self._last = now
            say(text)


def show_training(events: Iterable[TrainEvent]) -> Trained | None:
    """Show a training as it goes; return its last event, if there is a model at its end."""
    trained = None
    with progress_bar() as progress:
        task = progress.add_task("training", total=1.0, details="", visible=False)
        now_and_then = NowAndThen()
        for event in events:
            match event:
                case Message(text=text):
                    say(text)
                case Inspected(rows=rows):
                    show_rows(rows, most=FEW_ROWS)
                case StepLog():
                    _show_step(progress, task, event, now_and_then)
                case Validation(step=step, scores=scores):
                    say(f"step {step}, on what is held out: {in_words(scores)}")
                case Trained(bundle=bundle, stopped=stopped):
                    trained = event
                    word = "stopped early" if stopped else "done"
                    progress.update(task, visible=False)
                    named = ", ".join(name_scores(bundle)) or "no score yet"
                    progress.console.print(
                        f"[bold]{word}[/bold]; on what was held out: {named}", soft_wrap=True
                    )
                    for sentence in name_grounds(bundle):
                        say(f"  {sentence}")
    return trained


def show_until(events: Iterable[TrainEvent | Result], kind: type[Result]) -> Result | None:
    """Show the trainings of a job, and return its own event, if it came to that."""
    results: list[Result] = []

    def trainings() -> Iterator[TrainEvent]:
        for event in events:
            if isinstance(event, kind):
                results.append(event)
            else:
                yield event  # type: ignore[misc]

    show_training(trainings())
    return results[-1] if results else None


def show_table(title: str, table: Table) -> None:
    """Show a table of a report; numbers to the right, rounded as there."""
    shown = rich.table.Table(title=escape(title))
    for place, name in enumerate(table.header):
        is_number = bool(table.rows) and not isinstance(table.rows[0][place], str)
        shown.add_column(escape(name), justify="right" if is_number else "left")
    for row in table.rows:
        shown.add_row(*(escape(format_cell(value)) for value in row))
    console.print(shown)


def show_rows(rows: list[PairRow], most: int | None = None) -> None:
    """Show how pairs of files were read; the first `most` where there are more."""
    shown = rows[:most]
    table = rich.table.Table("image", "label", "size", "axes", "channels", "label reading")
    for row in shown:
        cells = (row.image.name, row.label.name, row.size, row.axes, row.num_channels, row.reading)
        table.add_row(*(escape(str(cell)) for cell in cells))
    console.print(table)
    if len(shown) < len(rows):
        say(f"… and {len(rows) - len(shown)} more; ulens inspect shows all")


def _show_step(progress: Progress, task: TaskID, log: StepLog, now_and_then: NowAndThen) -> None:
    if log.skipped is not None:
        progress.console.print(
            f"[yellow]training went astray[/yellow] on {escape(log.skipped)}: back to step "
            f"{log.step}, on without that tile and at half the learning rate",
            soft_wrap=True,
        )
        return
    details = step_in_words(log)
    progress.update(task, visible=True, completed=log.progress, details=details)
    now_and_then.say(f"training: {details}")


def say(text: str) -> None:
    """Print a line as it is: names of files may hold what rich takes for markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a bar with a description and a field `details`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[details]}", markup=False),
        console=console,
        refresh_per_second=4,
    )


def in_words(scores: dict[str, float]) -> str:
    """Return scores as one line.

    Examples
    --------
    >>> in_words({"Dice": 0.91234, "mean IoU": 0.85})
    'Dice 0.9123, mean IoU 0.8500'
    """
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
