"""The networks of a comparison: their names, their search for a learning rate, their training."""

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ulens.bundle import MODEL, ModelBundle, load_bundle
from ulens.errors import SettingError, TrainingError
from ulens.io.atomic import replace_files
from ulens.io.writable import make_folder
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Message, Trained, TrainEvent
from ulens.jobs.train import run_training
from ulens.nets.build import NetName
from ulens.nets.sliding_window import SlidingWindow
from ulens.paper.rivals import RATE_FACTORS, RATES_TIMES_WIDTH, search_rates, share_of, with_rate
from ulens.planning.plan import Plan, read_plan
from ulens.training.model_folder import PLAN, STATE, remove_training

PUBLISHED_WINDOW = 95
SEARCH_SHARE = 0.1
FINAL_SHARE = 1 - SEARCH_SHARE * len(RATE_FACTORS)
# Of its score: less is chance, as short a training differs by half of it with another seed.
CLEARLY_BETTER = 0.02
DIVERGED = float("-inf")
CHOSEN_BY = ("mean AP", "V_Info", "mean IoU")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A network that takes part.

    Parameters
    ----------
    name : of its folder
    title : for readers
    network : which
    window : of 'sliding-window', pixels
    """

    name: str
    title: str
    network: NetName
    window: int = PUBLISHED_WINDOW


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A contender whose model is trained.

    Parameters
    ----------
    contender : which
    bundle : its model
    plan : of the final training
    rates : each learning rate tried with what it scored on held-out annotations, or `DIVERGED`
    chosen_by : the name of that score
    """

    contender: Contender
    bundle: ModelBundle
    plan: Plan
    rates: dict[float, float]
    chosen_by: str


def parse_nets(text: str) -> tuple[str, ...]:
    """Return the names in a list such as ``unet,fcn-8s``."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_windows(text: str) -> tuple[int, ...]:
    """Return the sides in a list such as ``33,65``, or none for ``none``.

    Examples
    --------
    >>> parse_windows("33,65"), parse_windows("none")
    ((33, 65), ())
    """
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingError(f"windows are {text!r}; write sides such as 33,65, or none") from None


def list_contenders(nets: Sequence[str], windows: Sequence[int]) -> list[Contender]:
    """Return the networks by name; with the sliding window come others of its kind.

    Parameters
    ----------
    nets : of 'unet', 'sliding-window', 'fcn-8s', 'fcn-alexnet', each once
    windows : sides of further windows for the trade-off, pixels

    Raises
    ------
    SettingError : an unknown or repeated name, or a window that no layers fit
    """
    known: tuple[NetName, ...] = ("unet", *RATES_TIMES_WIDTH)
    for net in nets:
        if net not in known:
            raise SettingError(f"there is no network {net!r}; choose of {', '.join(known)}")
    if len(set(nets)) < len(nets) or len(nets) < 2:
        raise SettingError(
            f"networks are {', '.join(nets) or 'none'}; a comparison needs two or more, each "
            f"once, of {', '.join(known)}"
        )
    contenders = []
    for net in known:
        if net == "sliding-window" and net in nets:
            contenders += [_sliding(window) for window in sorted({PUBLISHED_WINDOW, *windows})]
        elif net in nets:
            contenders.append(Contender(name=net, title=_TITLES[net], network=net))
    return contenders


_TITLES: dict[NetName, str] = {
    "unet": "U-Net",
    "fcn-8s": "FCN-8s",
    "fcn-alexnet": "FCN-AlexNet",
}


def _sliding(window: int) -> Contender:
    with torch.device("meta"):  # refuses a window that no layers fit, without making weights
        SlidingWindow(window=window)
    name = "sliding-window" if window == PUBLISHED_WINDOW else f"sliding-window-{window}"
    title = f"sliding window, {window} px"
    return Contender(name=name, title=title, network="sliding-window", window=window)


def train_contender(
    contender: Contender,
    base: Plan,
    settings: TrainSettings,
    stop: threading.Event | None = None,
) -> Iterator[TrainEvent | Finished]:
    """Search the learning rate, then train; what is finished already is not trained again.

    Parameters
    ----------
    base : the plan of its final training, with the learning rate to search around
    settings : the images, without plan and length, and in `out` the folder of this contender
    stop : as in `run_training`

    Yields
    ------
    the events of every training, and at last `Finished`; after a `Trained` that was stopped
    nothing more: the next call goes on from there
    """
    folder = settings.out
    scores: dict[float, float] = {}
    chosen_by = ""
    for number, rate in enumerate(search_rates(base), start=1):
        plan = with_rate(share_of(base, SEARCH_SHARE / FINAL_SHARE), rate)
        yield Message(
            f"{contender.title}: learning rate {rate:.2g}, {number} of {len(RATE_FACTORS)}"
        )
        trial = replace(settings, int8=False)
        try:
            bundle = yield from train_by_plan(folder / f"rate-{number}", plan, trial, stop)
        except TrainingError as error:
            yield Message(f"{contender.title}: learning rate {rate:.2g} is left out: {error}")
            scores[rate] = DIVERGED
            continue
        if bundle is None:
            return
        chosen_by, scores[rate] = _quality(bundle)
    if not chosen_by:
        raise TrainingError(
            f"{contender.title} learned with none of the learning rates "
            f"{', '.join(f'{rate:.2g}' for rate in scores)}; leave it out, or look at the images"
        )
    best = best_rate(scores)
    plan = _final_plan(base, best, chosen_by)
    yield Message(f"{contender.title}: training with the learning rate {best:.2g}")
    bundle = yield from train_by_plan(folder / "model", plan, settings, stop)
    if bundle is not None:
        yield Finished(
            contender=contender, bundle=bundle, plan=plan, rates=scores, chosen_by=chosen_by
        )


def best_rate(scores: dict[float, float]) -> float:
    """Return the rate of the best score; the first one where that is hardly worse."""
    first = next(iter(scores))
    best = max(scores, key=lambda rate: scores[rate])
    return best if scores[best] * (1 - CLEARLY_BETTER) > scores[first] else first


def _final_plan(base: Plan, rate: float, chosen_by: str) -> Plan:
    reason = (
        f"the best of {len(RATE_FACTORS)} by {chosen_by} on the held-out part, each tried for "
        f"{SEARCH_SHARE:.0%} of the time; another than the first only if it is better by more than "
        f"{CLEARLY_BETTER:.0%}"
    )
    return replace(with_rate(base, rate), reasons={**base.reasons, "learning_rate": reason})


def train_by_plan(
    folder: Path, plan: Plan, settings: TrainSettings, stop: threading.Event | None = None
) -> Generator[TrainEvent, None, ModelBundle | None]:
    """Train by a plan, or go on with it; returns the model, or None where it was stopped."""
    if (bundle := finished_model(folder, plan)) is not None:
        yield Message(f"{folder.parent.name}/{folder.name} is trained already")
        return bundle
    resume = (
        is_begun(folder)
        and read_plan(folder / PLAN).optimizer.learning_rate == plan.optimizer.learning_rate
    )
    if not resume:
        remove_training(folder)  # what a kill left, or another learning rate
        make_folder(folder)
        replace_files(folder, {PLAN: plan.to_bytes()})
    plan_file = None if resume else folder / PLAN
    asked = replace(settings, out=folder, plan=plan_file, resume=resume, overwrite=not resume)
    for event in run_training(asked, stop):
        yield event
        if isinstance(event, Trained):
            return None if event.stopped else event.bundle
    return None


def is_begun(folder: Path) -> bool:
    """Return whether a training was saved in a folder, so that it can be resumed."""
    return (folder / STATE).is_file() and (folder / MODEL).is_file()


def finished_model(folder: Path, plan: Plan) -> ModelBundle | None:
    """Return the model of a folder where its training by this plan has come to its end."""
    if not (folder / MODEL).is_file():
        return None
    bundle = load_bundle(folder)
    done = bundle.provenance
    is_long_enough = (
        done["steps"] >= plan.length.steps
        if plan.length.steps is not None
        else done["training_seconds"] >= (plan.length.seconds or 0) - 0.1
    )
    is_same = Plan.from_json(bundle.plan).optimizer.learning_rate == plan.optimizer.learning_rate
    return bundle if bundle.scores and is_long_enough and is_same else None


def _quality(bundle: ModelBundle) -> tuple[str, float]:
    name = next(name for name in CHOSEN_BY if name in bundle.scores)
    return name, float(bundle.scores[name])
