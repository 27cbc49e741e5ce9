"""The command `ulens evaluate`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from ulens.cli.terminal import console
from ulens.errors import OutputError
from ulens.jobs.evaluate import Measure
from ulens.jobs.evaluate import evaluate as run_evaluation
from ulens.labels.meaning import LabelsAre


def evaluate(
    truth: Path,
    predicted: Path,
    *,
    measures: Annotated[list[Measure] | None, Parameter(negative="", consume_multiple=True)] = None,
    frames: str | None = None,
    ignore: int | None = None,
    labels_are: LabelsAre | None = None,
    field_of_interest_px: int | None = None,
    json: Path | None = None,
) -> None:
    """Score segmentations against annotations.

    Parameters
    ----------
    truth
        label file, stack, or folder; 01_GT of the Cell Tracking Challenge
    predicted
        what ulens segment wrote, or any label images of the same names
    measures
        isbi2012, semantic, instances or ctc; all that the folders allow without it
    frames
        which images of the truth to score, counted from 0, such as 15-19
    ignore
        value in the truth of pixels that are not annotated
    labels_are
        how to read the truth, where ulens reads it wrongly
    field_of_interest_px
        of the Cell Tracking Challenge: objects of the result wholly within so many pixels of the
        border do not count; without it by the name of the data set's folder
    json
        file for the scores
    """
    if json is not None and (json.exists() or not json.parent.is_dir()):
        what = f"{json} exists" if json.exists() else f"there is no folder {json.parent}"
        raise OutputError(f"{what}; choose another name")
    evaluation = run_evaluation(
        truth,
        predicted,
        measures=measures,
        frames=frames,
        ignore=ignore,
        labels_are=labels_are,
        field_of_interest_px=field_of_interest_px,
    )
    for note in evaluation.notes:
        console.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    table = Table("measure", "value", title=escape(f"{predicted} against {truth}"))
    for measure, scores in evaluation.scores.items():
        table.add_section()
        for name, value in scores.items():
            table.add_row(f"{measure} {name}", f"{value:.6f}".rstrip("0").rstrip("."))
    console.print(table)
    if json is not None:
        json.write_text(evaluation.to_json(), encoding="utf-8")
