"""The command `ulens segment`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from rich.markup import escape

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import NowAndThen, console, progress_bar, say
from ulens.io.files import name_some, other_files
from ulens.jobs.options import EACH_AN_OPTION
from ulens.jobs.segment import run_segmentation
from ulens.jobs.segmenting import SegmentProgress, SegmentSettings
from ulens.jobs.strange import ONE_BY_ONE, Strange
from ulens.jobs.tracking import Tracked


@summarized
def segment(settings: Annotated[SegmentSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Segment images with a trained model."""
    events = run_segmentation(settings)
    if not settings.is_large and (others := other_files(settings.images)):
        console.print(f"left out, in no format that ulens reads: {escape(name_some(others))}")
    seen = Seen(summary["notes"])
    summary |= {"out": settings.out, "table": settings.table, "images": seen.images}
    try:
        _show(events, seen)
    except KeyboardInterrupt:
        say(_tell_where_it_stopped(settings, seen))
        raise
    finally:
        for line in seen.in_words():
            say(line)
    tracked = seen.tracked
    if tracked is None:
        say(f"{seen.num_written} segmentations in {settings.out}")
        return
    summary["tracked"] = tracked
    say(
        f"tracks {tracked.num_tracks}, divisions {tracked.num_divisions}, frames "
        f"{tracked.num_frames}, outlines drawn in gaps {tracked.num_drawn}: {settings.out}"
    )
    say(f"to look at them: {tracked.page}")
    if tracked.graph is not None:
        say(f"as a graph: {tracked.graph}")


@dataclass
class Seen:
    """What was done so far.

    Parameters
    ----------
    num_images, num_written, num_kept : of the images; kept ones count as written
    empty : images in which nothing was found, or one class alone
    word : what was found in these
    tracked : the tracks, if any
    strange : images unlike those of the training
    notes, images : what to tell programs
    """

    notes: list[str]
    images: list[dict[str, Any]] = field(default_factory=list)
    num_images: int = 0
    num_written: int = 0
    num_kept: int = 0
    empty: list[Path] = field(default_factory=list)
    word: str = ""
    tracked: Tracked | None = None
    strange: Strange = field(default_factory=lambda: Strange(0))

    def add(self, event: SegmentProgress) -> None:
        """Count one more event."""
        self.num_images = self.strange.num_images = event.num_images
        self.num_written += bool(event.written)
        self.num_kept += event.is_kept
        if event.note:
            self.notes.append(event.note)
        if event.written or event.error or event.unlike:
            self.images.append(
                {
                    "image": event.image,
                    "written": event.written,
                    "found": event.found,
                    "is_kept": event.is_kept,
                    "warnings": [each.text for each in event.unlike],
                    "error": event.error,
                }
            )
        if event.found is not None and event.found.is_empty:
            self.empty.append(event.image)
            self.word = "0 objects" if event.found.num_objects == 0 else "one class alone"

    def in_words(self) -> list[str]:
        """Return what to tell at the end."""
        lines = []
        if self.num_kept:
            lines.append(
                f"kept {self.num_kept} of {self.num_images}, which the same model and options made "
                "before"
            )
        if self.empty:
            number = f"{len(self.empty)} of {self.num_images} images"
            lines.append(f"{self.word} in {number}: {name_some(self.empty)}")
        return lines + self.strange.sum_up()


def _tell_where_it_stopped(settings: SegmentSettings, seen: Seen) -> str:
    if settings.track:
        return "stopped; no frame was written, since tracks need all of them"
    if settings.is_large:
        return f"stopped; what is done lies beside {settings.out}: the same command goes on there"
    return (
        f"stopped; {seen.num_written} of {seen.num_images} images are done and lie in "
        f"{settings.out}: the same command goes on from there"
    )


def _show(events: Iterator[SegmentProgress | Tracked], seen: Seen) -> None:
    """Show the work as it goes."""
    with progress_bar() as progress:
        task = progress.add_task("segmenting", total=1.0, details="")
        now_and_then = NowAndThen()
        for event in events:
            if isinstance(event, Tracked):
                seen.tracked = event
                continue
            seen.add(event)
            progress.update(task, completed=event.share_done, details=event.at)
            now_and_then.say(f"segmenting {event.at}, {event.share_done:.0%} done")
            if line := seen.strange.tell(event.image.name, event.unlike):
                progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
            if event.note:
                progress.console.print(event.note, markup=False, highlight=False, soft_wrap=True)
            if event.error:
                left_out = f"[yellow]left out[/yellow]: {escape(event.error)}"
                progress.console.print(left_out, soft_wrap=True)
            if event.found and event.num_images <= ONE_BY_ONE:
                kept = ", kept" if event.is_kept else ""
                say(f"{event.image.name}: {event.found}{kept}")
