"""The command `ulens suggest`."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

from rich.markup import escape
from rich.table import Table

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import NowAndThen, console, progress_bar, say
from ulens.jobs.options import EACH_AN_OPTION
from ulens.jobs.segmenting import SegmentProgress
from ulens.jobs.suggest import Suggested, Suggestion, SuggestSettings, run_suggestions


@summarized
def suggest(settings: Annotated[SuggestSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Show the images, and boxes in them, where a model is least certain: what to annotate next."""
    _show(run_suggestions(settings), summary)


def _show(events: Iterator[SegmentProgress | Suggested], summary: Summary) -> None:
    """Show the work as it goes, then the boxes."""
    with progress_bar() as progress:
        task = progress.add_task("looking", total=1.0, details="")
        now_and_then = NowAndThen()
        for event in events:
            if isinstance(event, Suggested):
                progress.update(task, visible=False)
                _show_boxes(event.suggestions)
                summary["boxes"] = [_in_words(each) for each in event.suggestions]
                continue
            progress.update(task, completed=event.share_done, details=event.at)
            now_and_then.say(f"looking at {event.at}, {event.share_done:.0%} done")
            if event.note:
                say(event.note)
                summary["notes"].append(event.note)
            if event.error:
                console.print(f"[yellow]left out[/yellow]: {escape(event.error)}", soft_wrap=True)


def _in_words(suggestion: Suggestion) -> dict[str, Any]:
    """Return a box by the names of its columns."""
    image, plane, (y, x), uncertainty = suggestion
    return {
        "image": image, "plane": plane, "x": x.start, "y": y.start,
        "width": x.stop - x.start, "height": y.stop - y.start, "uncertainty": uncertainty,
    }  # fmt: skip


def _show_boxes(suggestions: list[Suggestion]) -> None:
    if not suggestions:
        say("no box: all images are empty, each of one grey value")
        return
    names = {each.image: each.image.name for each in suggestions}
    if len(set(names.values())) < len(names):  # of several folders
        above = os.path.commonpath([image.absolute().parent for image in names])
        names = {image: str(image.absolute().relative_to(above)) for image in names}
    has_planes = any(each.plane for each in suggestions)
    table = Table("rank", "image", *(["plane"] if has_planes else []))
    for name in ("x", "y", "width", "height", "uncertainty"):
        table.add_column(name, justify="right")
    for rank, each in enumerate(suggestions, start=1):
        told = _in_words(each)
        box = (told[name] for name in ("x", "y", "width", "height"))
        plane = [each.plane] if has_planes else []
        cells = (rank, names[each.image], *plane, *box, f"{each.uncertainty:.3f}")
        table.add_row(*(escape(str(cell)) for cell in cells))
    console.print(table)
    say("the model is least certain there (0 = certain, 1 = as unsure as can be)")
