"""The paper's tables again: fetch the data, train as published, score, set side by side."""

import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Annotated

from ulens.annotated.samples import Sample, hash_samples, read_annotated
from ulens.annotated.unseen import divide
from ulens.bundle import MODEL, ModelBundle
from ulens.datasets.catalogue import find_dataset, training_paths
from ulens.encodings.table import ENCODINGS
from ulens.errors import SettingError
from ulens.io.atomic import replace_files
from ulens.io.writable import check_writable
from ulens.jobs.datasets import DatasetEvent, run_fetch, use_copy
from ulens.jobs.options import FLAG, OUT, TIME
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Message, Trained, TrainEvent
from ulens.jobs.train import run_training
from ulens.paper.contenders import finished_model, is_begun
from ulens.paper.tables import PaperTable, find_table
from ulens.planning.parts import Length
from ulens.planning.plan import Plan, read_plan
from ulens.planning.plan_in_words import put_in_words
from ulens.planning.reasons import LEFT_OPEN
from ulens.report.page import Section, Table, write_report
from ulens.tracking.field_of_interest import FIELD_OF_INTEREST_PX
from ulens.training.model_folder import PLAN, remove_training
from ulens.training.validate import counts_for_seg, predict_unseen, score_unseen

MODEL_FOLDER, PAGE = "model", "reproduce.html"
PAPER_SECONDS = 10 * 3600.0


@dataclass(frozen=True, slots=True)
class ReproduceSettings:
    """What a user asks of a reproduction; `ulens reproduce` has an option for each.

    Parameters
    ----------
    name
        isbi2012, phc-u373 or dic-hela
    out
        folder for the model, the page and the data set
    data
        folder of a copy of the data set that you have; without it it is fetched
    accept_terms
        you accept the terms of use of the data set, which are shown; nothing is fetched without
    cache
        folder in which downloaded archives are kept
    seconds
        for the training, such as 10h; from Python in seconds. Without it the paper's ten hours, or
        what OUT was begun with
    steps
        length in steps instead
    width
        channels of the network's first level; the paper's 64 without it
    seed
        of all random draws; 0 without it
    device
        auto, cpu, cuda or mps
    resume
        go on in OUT
    """

    name: str
    _: KW_ONLY
    out: Annotated[Path, OUT]
    data: Path | None = None
    accept_terms: Annotated[bool, FLAG] = False
    cache: Path | None = None
    seconds: Annotated[float | None, TIME] = None
    steps: int | None = None
    width: int | None = None
    seed: int | None = None
    device: str = "auto"
    resume: Annotated[bool, FLAG] = False

    @property
    def place(self) -> Path:
        """Where the data set is, or will be once it is fetched."""
        return self.data or self.out / find_table(self.name).dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduced:
    """The last event.

    Parameters
    ----------
    table : our values and the paper's, each with its images
    notes : on the images, and each choice that the paper does not state
    page : reproduce.html; reproduce.json beside it
    """

    table: Table
    notes: list[str]
    page: Path


def fetch_data(settings: ReproduceSettings) -> Iterator[DatasetEvent]:
    """Fetch the data set into `settings.place`, unless it lies there.

    Raises
    ------
    UlensError : with what to do
    """
    dataset = find_dataset(find_table(settings.name).dataset)
    if not (settings.resume and settings.out.is_dir()):
        instead = "go on there with --resume"
        check_writable(settings.out, "reproduction", is_folder=True, replaces=None, instead=instead)
    if settings.data is not None or (settings.resume and settings.place.is_dir()):
        yield from use_copy(dataset, settings.place)
    else:
        yield from run_fetch(
            dataset, settings.place, accept_terms=settings.accept_terms, cache=settings.cache
        )


def run_reproduction(
    settings: ReproduceSettings, stop: threading.Event | None = None
) -> Iterator[TrainEvent | Reproduced]:
    """Train with the paper's recipe on the data that `fetch_data` left, and score unseen images.

    Parameters
    ----------
    stop : as in `run_training`; what was trained is scored, and `resume` goes on

    Yields
    ------
    the events of the training, and at last `Reproduced`

    Raises
    ------
    UlensError : with what to do
    """
    table = find_table(settings.name)
    paths = training_paths(find_dataset(table.dataset), settings.place)
    images, labels = paths[0], paths[1] if len(paths) > 1 else None
    division = divide(images, labels, training=table.training, unseen=table.unseen)
    yield Message(f"training on {table.ours_trained}; scored on {table.ours_scored}")
    bundle = yield from _train(settings, images, labels, stop)
    scored = list(compress(division.samples, counts_for_seg(division.samples)))
    yield Message(f"predicting {len(scored)} unseen images, {table.views_in_words} …")
    ours = _score(bundle, scored, table, settings.device)
    plan = read_plan(settings.out / MODEL_FOLDER / PLAN)
    reproduced = Reproduced(
        table=_side_by_side(table, ours),
        notes=_notes(table, plan, bundle),
        page=settings.out / PAGE,
    )
    _write(reproduced, table, ours)
    yield reproduced


def _train(
    settings: ReproduceSettings, images: Path, labels: Path | None, stop: threading.Event | None
) -> Generator[TrainEvent, None, ModelBundle]:
    """Train, or go on; returns the model."""
    folder = settings.out / MODEL_FOLDER
    seconds, frames = settings.seconds, find_table(settings.name).training
    resume = settings.resume and is_begun(folder)
    if settings.resume and folder.is_dir() and not (folder / MODEL).is_file():
        remove_training(folder)  # what a kill left before the first save
    if not resume and seconds is None and settings.steps is None:
        seconds = PAPER_SECONDS
    asked = TrainSettings(
        images=images,
        labels=labels,
        out=folder,
        seconds=seconds,
        steps=settings.steps,
        recipe="paper",
        frames=frames,
        width=settings.width,
        seed=settings.seed,
        device=settings.device,
        resume=resume,
    )
    if resume:
        plan = read_plan(folder / PLAN)
        if seconds is not None or settings.steps is not None:
            plan = replace(plan, length=Length(seconds=seconds, steps=settings.steps))
        if (finished := finished_model(folder, plan)) is not None:
            learned = hash_samples(read_annotated(images, labels, frames=frames).samples)
            if finished.provenance["data_sha256"] != learned:
                raise SettingError(
                    f"{folder} was trained on other images than those of {settings.name}; choose "
                    "another folder"
                )
            yield Message(f"{folder} is trained already")
            return finished
    for event in run_training(asked, stop):
        yield event
    assert isinstance(event, Trained)
    return event.bundle


def _score(
    bundle: ModelBundle, samples: Sequence[Sample], table: PaperTable, device: str
) -> dict[str, float]:
    predictions = predict_unseen(bundle, samples, device, average=table.average)
    border_px = FIELD_OF_INTEREST_PX.get(table.dataset, 0)
    found = score_unseen(predictions, bundle.labels_are, field_of_interest_px=border_px)
    return {name: found[name] for name in table.measures}


def _side_by_side(table: PaperTable, ours: dict[str, float]) -> Table:
    rows = [("ulens", table.ours_scored, *_cells(table, ours))]
    rows += [
        (name, table.paper_scored, *_cells(table, values)) for name, values in table.rows.items()
    ]
    return Table(header=("who", "scored on", *table.measures), rows=rows)


def _cells(table: PaperTable, values: Mapping[str, float]) -> Sequence[str]:
    return [
        f"{values[name]:.{table.num_decimals[name]}f}" if name in values else "–"
        for name in table.measures
    ]


def _notes(table: PaperTable, plan: Plan, bundle: ModelBundle) -> list[str]:
    minutes = bundle.provenance["training_seconds"] / 60
    held_out = ", ".join(bundle.provenance["held_out"])
    return [
        f"ours: trained on {table.ours_trained}; scored on {table.ours_scored}, which is not the "
        "paper's test",
        f"the paper: trained on {table.paper_trained}; scored on {table.paper_scored}",
        f"width {plan.network.width}, {bundle.provenance['steps']} steps in {minutes:.1f} minutes; "
        "the paper trained a width of 64 for 10 hours on a graphics card",
        f"held out of the first part of our training, for its own report: {held_out}",
        *table.notes,
        *_note_decoding(bundle),
        "grey values are normalised by their mean and deviation; the paper does not say",
        "the loss is the sum of the pixels' cross-entropies, each times its weight, divided by the "
        "sum of the weights; the paper gives the sum and not how it is scaled",
        "an image that holds background alone has the weight of that class everywhere; the paper "
        "does not say",
        "the network is that of figure 1. The one that its authors released for the tracking "
        "challenge has ReLUs after the up-convolutions and joins the halves in the other order; it "
        "averages over four mirrored copies, drops components of up to 500 px and links frames by "
        "their largest overlap",
        *(
            f"{each.what}: {each.value}; {each.why}"
            for each in put_in_words(plan)
            if each.name in LEFT_OPEN
        ),
    ]


def _note_decoding(bundle: ModelBundle) -> list[str]:
    if bundle.labels_are == "classes":
        return []
    sentence = ENCODINGS[bundle.encoding].in_words.format(**bundle.decoding)
    return [
        f"in the segmentation {sentence}: the paper does not say; these values were tuned on what "
        "was held out, and a cell of less than half the size of the smallest counts for none"
    ]


def _write(reproduced: Reproduced, table: PaperTable, ours: dict[str, float]) -> None:
    out = reproduced.page.parent
    record = {
        "table": table.name,
        "ours": ours,
        "ours_scored": table.ours_scored,
        "paper": table.rows,
        "paper_scored": table.paper_scored,
        "notes": reproduced.notes,
    }
    replace_files(
        out, {"reproduce.json": json.dumps(record, indent=2, ensure_ascii=False).encode()}
    )
    write_report(
        reproduced.page,
        title=f"{table.title}, reproduced",
        summary=[(name, f"{value:.{table.num_decimals[name]}f}") for name, value in ours.items()],
        sections=[
            Section(
                title="Ours beside the paper's",
                text="Two different sets of images: the values show what to expect, not a rank.",
                table=reproduced.table,
            ),
            Section(
                title="What differs, and what the paper leaves open",
                text="\n\n".join(reproduced.notes),
            ),
        ],
    )
