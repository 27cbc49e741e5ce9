"""Cellpose's and StarDist's own networks, from random weights, within some minutes.

Each with the settings of its documentation: Cellpose those of its page on training (SGD, batches of
8 crops of 224², images rescaled to a diameter of 30 px; the flows of its labels are computed once,
which counts, as does a measurement of how many epochs fit), StarDist those of its example notebook
(32 rays, patches of 256², flips and changes of intensity; the grid is the finest whose network sees
a whole object). What is held out tunes StarDist's thresholds and learning rate; Cellpose, which
tunes nothing, learns all.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ulens.annotated.samples import Sample
from ulens.nets.properties import count_parameters

Segment = Callable[[np.ndarray], np.ndarray]
STEPS_PER_EPOCH = 10

Trained = tuple[Segment, int, int, float]
"""Images to instances, numbers of parameters and steps, and the seconds."""


def train_cellpose(samples: Sequence[Sample], seconds: float, out: Path) -> Trained:
    from cellpose import dynamics, models, train

    images, labels = _arrays(samples)
    begun = time.perf_counter()
    flows = dynamics.labels_to_flows(labels, device=torch.device("cpu"))
    seconds -= time.perf_counter() - begun

    def run(num_epochs: int) -> Any:
        model = models.CellposeModel(gpu=False, pretrained_model=False)
        train.train_seg(
            model.net, images, flows, channels=[0, 0], n_epochs=num_epochs, nimg_per_epoch=8,
            SGD=True, learning_rate=0.1, weight_decay=1e-4, save_path=out,
        )  # fmt: skip
        return model

    started = time.perf_counter()
    run(1)
    first = time.perf_counter() - started
    run(3)
    per_epoch = (time.perf_counter() - started - 2 * first) / 2
    left = seconds - (time.perf_counter() - started)
    num_epochs = max(1, int((left - first) / per_epoch))
    model = run(num_epochs)
    spent = time.perf_counter() - begun
    diameter = float(model.net.diam_labels)

    def segment(image: np.ndarray) -> np.ndarray:
        return np.asarray(model.eval(image[0], channels=[0, 0], diameter=diameter)[0], np.int32)

    return segment, count_parameters(model.net), num_epochs, spent


def train_stardist(
    training: Sequence[Sample], held_out: Sequence[Sample], seconds: float, out: Path
) -> Trained:
    from csbdeep.utils import normalize
    from keras.callbacks import LambdaCallback
    from stardist import calculate_extents
    from stardist.models import Config2D, StarDist2D

    images, labels = _arrays(training)
    unseen_images, unseen_labels = _arrays(held_out)
    images, unseen_images = (
        [normalize(x, 1, 99.8) for x in each] for each in (images, unseen_images)
    )
    extent = max(calculate_extents(labels))
    generator = np.random.default_rng(0)

    def vary(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turns, flip = int(generator.integers(4)), bool(generator.integers(2))
        x, y = (np.rot90(each, turns) for each in (x, y))
        x, y = (each[:, ::-1] if flip else each for each in (x, y))
        x = x * generator.uniform(0.6, 2) + generator.uniform(-0.2, 0.2)
        return x + 0.02 * generator.uniform() * generator.normal(size=x.shape), y

    def make(grid: int) -> Any:
        config = Config2D(
            n_rays=32,
            grid=(grid, grid),
            n_channel_in=1,
            train_patch_size=(256, 256),
            train_tensorboard=False,
        )
        return StarDist2D(config, name=f"grid-{grid}-{time.time_ns()}", basedir=str(out))

    grid = next((g for g in (2, 4, 8) if min(make(g)._axes_tile_overlap("YX")) >= extent), 8)

    model, started, num_epochs = make(grid), time.perf_counter(), 0

    def stop_in_time(*_: Any) -> None:
        nonlocal num_epochs
        num_epochs += 1
        model.keras_model.stop_training = time.perf_counter() - started >= seconds

    model.prepare_for_training()
    model.callbacks.append(LambdaCallback(on_epoch_end=stop_in_time))
    model.train(
        images, labels, validation_data=(unseen_images, unseen_labels), augmenter=vary,
        epochs=10_000, steps_per_epoch=STEPS_PER_EPOCH, seed=0,
    )  # fmt: skip
    spent = time.perf_counter() - started
    model.optimize_thresholds(unseen_images, unseen_labels)

    def segment(image: np.ndarray) -> np.ndarray:
        found, _ = model.predict_instances(normalize(image[0], 1, 99.8))
        return np.asarray(found, np.int32)

    return segment, model.keras_model.count_params(), num_epochs * STEPS_PER_EPOCH, spent


def _arrays(samples: Sequence[Sample]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return (Y, X) images and labels; pixels that do not count become background."""
    images = [each.image.astype(np.float32).mean(0) for each in samples]
    return images, [each.label.clip(0).astype(np.int32) for each in samples]
