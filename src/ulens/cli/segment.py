"""The command `ulens segment`."""

from collections.abc import Iterator
from typing import Annotated

from rich.markup import escape

from ulens.cli.terminal import console, progress_bar, say
from ulens.io.files import name_some, other_files
from ulens.jobs.options import EACH_AN_OPTION
from ulens.jobs.segment import run_segmentation
from ulens.jobs.segmenting import SegmentProgress, SegmentSettings
from ulens.jobs.strange import Strange
from ulens.jobs.tracking import Tracked


def segment(settings: Annotated[SegmentSettings, EACH_AN_OPTION]) -> None:
    """Segment images with a trained model."""
    events = run_segmentation(settings)
    if not settings.is_large and (others := other_files(settings.images)):
        console.print(f"left out, in no format that ulens reads: {escape(name_some(others))}")
    num_written, tracked, strange = _show(events)
    for line in strange.sum_up():
        say(line)
    if tracked is None:
        say(f"{num_written} segmentations in {settings.out}")
        return
    say(
        f"tracks {tracked.num_tracks}, divisions {tracked.num_divisions}, frames "
        f"{tracked.num_frames}, outlines drawn in gaps {tracked.num_drawn}: {settings.out}"
    )
    say(f"to look at them: {tracked.page}")
    if tracked.graph is not None:
        say(f"as a graph: {tracked.graph}")


def _show(
    events: Iterator[SegmentProgress | Tracked],
) -> tuple[int, Tracked | None, Strange]:
    """Show the work; return how many images were written, the tracks, and what is strange."""
    num_written = 0
    tracked: Tracked | None = None
    strange = Strange(0)
    with progress_bar() as progress:
        task = progress.add_task("segmenting", total=1.0, details="")
        for event in events:
            if isinstance(event, Tracked):
                tracked = event
                continue
            done = event.number - 1 + event.tile / max(1, event.num_tiles)
            progress.update(
                task,
                completed=done / event.num_images,
                details=f"{event.number}/{event.num_images} {event.image.name}",
            )
            num_written += bool(event.written)
            strange.num_images = event.num_images
            if line := strange.tell(event.image.name, event.unlike):
                progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
            if event.note:
                progress.console.print(event.note, markup=False, highlight=False, soft_wrap=True)
            if event.error:
                left_out = f"[yellow]left out[/yellow]: {escape(event.error)}"
                progress.console.print(left_out, soft_wrap=True)
    return num_written, tracked, strange
