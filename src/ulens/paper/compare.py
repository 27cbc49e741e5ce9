"""The paper's comparison on the user's images: one budget for every network, one page."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ulens.annotated.unseen import Division, divide
from ulens.errors import OutputError, SettingError
from ulens.io.atomic import replace_files
from ulens.io.writable import check_writable, make_folder
from ulens.jobs.steps import Message, TrainEvent
from ulens.paper.contenders import PUBLISHED_WINDOW, Finished, list_contenders, train_contender
from ulens.paper.measures import (
    SIDE_PX,
    Outcome,
    Redundancy,
    measure_redundancy,
    outcome,
    time_networks,
    unseen_errors,
)
from ulens.paper.plans import CompareSettings, plan_all, training_settings
from ulens.paper.report import cost_table, score_table, write_comparison
from ulens.predict.engines import choose_device
from ulens.record import read_json
from ulens.report.page import Table
from ulens.tracking.field_of_interest import check_border, find_field_of_interest
from ulens.training.validate import predict_unseen, score_unseen

SETTINGS, PAGE = "settings.json", "compare.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """The last event.

    Parameters
    ----------
    page : compare.html; compare.json beside it holds all numbers
    outcomes : of the networks, in the order of the page
    redundancy : of the sliding window's prediction window by window, where it took part
    """

    page: Path
    outcomes: list[Outcome]
    redundancy: Redundancy | None

    @property
    def tables(self) -> dict[str, Table]:
        """The outcomes in short, by heading."""
        return {
            "scores on unseen images": score_table(self.outcomes),
            f"predicting {SIDE_PX}×{SIDE_PX} px": cost_table(self.outcomes),
        }


def run_comparison(
    settings: CompareSettings, stop: threading.Event | None = None
) -> Iterator[TrainEvent | Compared]:
    """Train every network on the same images for the same time, and score them on unseen ones.

    Parameters
    ----------
    stop : once it is set, the training at work ends, and the comparison with it; with `resume` the
        next one goes on there

    Yields
    ------
    the events of each training, and at last `Compared`

    Raises
    ------
    UlensError : with what to do
    """
    contenders = list_contenders(settings.nets, settings.windows)
    device = choose_device(settings.device)
    _refuse_existing(settings)
    division = divide(
        settings.images,
        settings.labels,
        training=settings.frames,
        unseen=settings.score,
        labels_are=settings.labels_are,
        ignore=settings.ignore,
        reading=settings.reading,
    )
    _begin(settings, division)
    border_px, told = find_border(settings)
    yield Message(
        f"training on images {division.training}, scored on images {division.unseen}, on {device}"
        f"{told}"
    )
    training = training_settings(settings, division)
    plans = plan_all(contenders, settings, training)
    contestants: list[Finished] = []
    for contender in contenders:
        asked = replace(training, out=settings.out / contender.name)
        for event in train_contender(contender, plans[contender.name], asked, stop):
            if isinstance(event, Finished):
                contestants.append(event)
            else:
                yield event
        if not contestants or contestants[-1].contender != contender:
            yield Message("the comparison is not complete; go on with --resume")
            return
    yield Message("timing the networks in turn …")
    image = division.samples[0].image
    seconds = time_networks(contestants, image, settings.device)
    outcomes, shown = [], []
    for each in contestants:
        yield Message(f"{each.contender.title}: predicting {len(division.samples)} unseen images …")
        labels_are = each.bundle.labels_are
        predictions = predict_unseen(each.bundle, division.samples, settings.device)
        scores = score_unseen(predictions, labels_are, field_of_interest_px=border_px)
        errors = unseen_errors(predictions, labels_are)
        outcomes.append(outcome(each, scores, errors, seconds[each.contender.name]))
        shown.append(predictions[0])
    redundancy = None
    for each in contestants:
        if each.contender.window == PUBLISHED_WINDOW and each.contender.network == "sliding-window":
            yield Message("timing the sliding window's prediction window by window …")
            redundancy = measure_redundancy(
                each, image, seconds[each.contender.name], settings.device
            )
    write_comparison(
        settings.out / PAGE,
        outcomes=outcomes,
        shown=shown,
        redundancy=redundancy,
        division=division,
        device=str(device),
    )
    yield Compared(page=settings.out / PAGE, outcomes=outcomes, redundancy=redundancy)


def find_border(settings: CompareSettings) -> tuple[int, str]:
    """Return the border around the field of interest; and what to tell, if a name decided it."""
    if settings.field_of_interest_px is not None:
        return check_border(settings.field_of_interest_px), ""
    border_px = find_field_of_interest(settings.images)
    told = (
        f"; objects wholly within {border_px} px of the border do not count, since the folder has "
        "the name of a data set of the Cell Tracking Challenge; --field-of-interest-px overrules it"
    )
    return border_px, told if border_px else ""


def _refuse_existing(settings: CompareSettings) -> None:
    out = settings.out
    is_ours = (out / SETTINGS).is_file()
    if not settings.resume:
        instead = "go on with --resume" if is_ours else None
        check_writable(out, "comparison", is_folder=True, replaces=None, instead=instead)
    elif not is_ours:
        raise OutputError(f"there is no comparison to resume in {out}; leave out --resume")


def _begin(settings: CompareSettings, division: Division) -> None:
    """Write what must stay the same when the comparison is resumed, or compare with it."""
    record = {
        "images": str(settings.images),
        "labels": None if settings.labels is None else str(settings.labels),
        "labels_are": settings.labels_are,
        "ignore": settings.ignore,
        "data_sha256": division.data_sha256,
        "training": division.training,
        "scored": division.unseen,
        "seconds": settings.seconds,
        "steps": settings.steps,
        "width": settings.width,
        "seed": settings.seed,
    }
    path = settings.out / SETTINGS
    if not path.is_file():
        make_folder(settings.out)
        replace_files(settings.out, {SETTINGS: json.dumps(record, indent=2).encode()})
        return
    begun = read_json(path.read_bytes(), str(path))
    if not isinstance(begun, dict):
        raise SettingError(f"{path} holds no settings; begin a comparison in another folder")
    for name, value in record.items():
        if begun.get(name) != value:
            raise SettingError(
                f"{name} is {value}, but the comparison in {settings.out} was begun with "
                f"{begun.get(name)}; ask for the same, or begin a new one in another folder"
            )
