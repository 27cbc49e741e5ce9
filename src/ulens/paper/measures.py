"""What a comparison measures of every trained network, on images that none has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ulens.encodings.table import ENCODINGS
from ulens.labels.meaning import LabelsAre
from ulens.metrics.boundary_error import (
    BoundaryErrors,
    boundary_errors,
    boundary_errors_of_probability,
    rename_matched,
)
from ulens.nets.properties import count_multiplications, count_parameters, receptive_field
from ulens.nets.sliding_window import SlidingWindow
from ulens.paper.contenders import Finished
from ulens.planning.plan import Plan
from ulens.predict.predictor import Predictor
from ulens.predict.tiles import read_mirrored
from ulens.predict.timing import PatchwiseTime, time_interleaved, time_patchwise
from ulens.resample import size_at
from ulens.training.validate import Prediction, measures_for

SIDE_PX = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A network's line in the comparison.

    Parameters
    ----------
    title : for readers
    network, window : which
    scores : by name, on the unseen images
    errors : wrong pixels near borders and elsewhere
    seconds : to predict an image of `SIDE_PX` squared, median of runs in turn with the others
    num_parameters : learned numbers
    receptive_field_px : side of what a pixel's decision depends on
    num_multiplications : to predict that image
    steps, training_seconds : of the final training
    rates, chosen_by : learning rates tried, with what they scored
    plan : of the final training
    """

    title: str
    network: str
    window: int | None
    scores: dict[str, float]
    errors: BoundaryErrors
    seconds: float
    num_parameters: int
    receptive_field_px: int
    num_multiplications: int
    steps: int
    training_seconds: float
    rates: dict[float, float]
    chosen_by: str
    plan: Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Redundancy:
    """What the prediction of one image window by window computes again and again.

    Parameters
    ----------
    window : side in pixels
    num_windows : one for each pixel of the image
    window_multiplications : of one window
    dense_multiplications : of the image, every value computed once
    dense_seconds : as `Outcome.seconds`
    patchwise : the time
    """

    window: int
    num_windows: int
    window_multiplications: int
    dense_multiplications: int
    dense_seconds: float
    patchwise: PatchwiseTime

    @property
    def times_the_work(self) -> float:
        """How many times the multiplications of the dense prediction."""
        return self.num_windows * self.window_multiplications / self.dense_multiplications

    @property
    def times_as_long(self) -> float:
        """How many times the seconds of the dense prediction."""
        return self.patchwise.seconds / self.dense_seconds


def unseen_errors(predictions: Sequence[Prediction], labels_are: LabelsAre) -> BoundaryErrors:
    """Return the wrong pixels near borders and elsewhere.

    Instances count as right where they match; two classes are taken at the best threshold.
    """
    truth = [each.sample.label for each in predictions]
    measures = measures_for(predictions, labels_are)
    if "instances" in measures:
        renamed = [rename_matched(each.sample.label, each.labels) for each in predictions]
        return boundary_errors(truth, renamed)
    if "isbi2012" in measures:
        return boundary_errors_of_probability(truth, [each.maps[1] for each in predictions])
    return boundary_errors(truth, [each.labels for each in predictions])


def time_networks(
    contestants: Sequence[Finished], image: np.ndarray, device: str
) -> dict[str, float]:
    """Return by name the seconds to predict an image of `SIDE_PX` squared.

    Parameters
    ----------
    image : (C, Y, X) of any dtype; cut, or mirrored to that size
    """
    runs = {}
    for each in contestants:
        bundle = each.bundle
        predictor = Predictor(
            bundle.net, activation=ENCODINGS[bundle.encoding].activation, device=device
        )
        shown = _square(bundle.normalization.apply(image))
        runs[each.contender.name] = partial(predictor.predict, shown, bundle.zoom)
    return time_interleaved(runs)


def outcome(
    finished: Finished, scores: Mapping[str, float], errors: BoundaryErrors, seconds: float
) -> Outcome:
    """Gather what is known of a network."""
    bundle, contender = finished.bundle, finished.contender
    return Outcome(
        title=contender.title,
        network=contender.network,
        window=contender.window if contender.network == "sliding-window" else None,
        scores=dict(scores),
        errors=errors,
        seconds=seconds,
        num_parameters=count_parameters(bundle.net),
        receptive_field_px=receptive_field(bundle.net),
        num_multiplications=_whole_image(finished),
        steps=bundle.provenance["steps"],
        training_seconds=bundle.provenance["training_seconds"],
        rates=finished.rates,
        chosen_by=finished.chosen_by,
        plan=finished.plan,
    )


def measure_redundancy(
    finished: Finished, image: np.ndarray, dense_seconds: float, device: str
) -> Redundancy:
    """Predict a part of an image window by window, and count what that computes.

    Parameters
    ----------
    finished : a sliding window
    image : (C, Y, X) of any dtype
    """
    bundle = finished.bundle
    net = bundle.net
    assert isinstance(net, SlidingWindow)
    predictor = Predictor(net, device=device)
    return Redundancy(
        window=net.window,
        num_windows=SIDE_PX**2,
        window_multiplications=count_multiplications(net, (net.window, net.window)),
        dense_multiplications=_whole_image(finished),
        dense_seconds=dense_seconds,
        patchwise=time_patchwise(
            net,
            _square(bundle.normalization.apply(image)),
            num_pixels=SIDE_PX**2,
            device=predictor.device,
            dtype=torch.bfloat16 if predictor.engine == "bf16" else torch.float32,
        ),
    )


def _whole_image(finished: Finished) -> int:
    """Multiplications for an image of `SIDE_PX` squared, in one tile."""
    net = finished.bundle.net
    y, x = size_at((SIDE_PX, SIDE_PX), finished.bundle.zoom)
    return count_multiplications(net, (net.geometry.input_size(y), net.geometry.input_size(x)))


def _square(image: np.ndarray) -> np.ndarray:
    return read_mirrored(image, (slice(0, SIDE_PX), slice(0, SIDE_PX)))
