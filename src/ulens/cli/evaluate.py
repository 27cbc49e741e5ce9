"""The command `ulens evaluate`."""

from dataclasses import asdict
from typing import Annotated

from rich.markup import escape
from rich.table import Table

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import console
from ulens.errors import DataError
from ulens.jobs.evaluate import EvaluateSettings, run_evaluation
from ulens.jobs.options import EACH_AN_OPTION


@summarized
def evaluate(settings: Annotated[EvaluateSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Score segmentations against annotations."""
    evaluation = run_evaluation(settings)
    summary |= asdict(evaluation)
    for note in evaluation.notes:
        console.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    table = Table(
        "measure", "value", title=escape(f"{settings.predicted} against {settings.truth}")
    )
    for measure, scores in evaluation.scores.items():
        table.add_section()
        for name, value in scores.items():
            table.add_row(f"{measure} {name}", f"{value:.6f}".rstrip("0").rstrip("."))
    console.print(table)
    if evaluation.errors:
        listed = "\n".join(f"- {error}" for error in evaluation.errors)
        raise DataError(
            f"{len(evaluation.errors)} files could not be compared, the scores are of all others:"
            f"\n{listed}"
        )
