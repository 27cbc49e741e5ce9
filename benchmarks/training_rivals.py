"""Steps per second of ulens' training beside the loops of MONAI and nnU-Net, on equal networks.

In a virtual environment of its own, as of benchmarks/rivals.py:

    PYTHONPATH=src python benchmarks/training_rivals.py [--width 32] [--rounds 5]

Every loop trains ulens' U-Net on tiles of 572² of the same simulated images, one tile a step, with
its own augmentation, loss, optimizer and precision: MONAI's as of its tutorials (Rand2DElasticd,
DiceCELoss, Adam) with `SupervisedTrainer`, nnU-Net's with its transforms, loss and `train_step`.
They take turns, a few steps each: what disturbs the machine disturbs all of them.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulens.annotated.samples import Annotated, Sample
from ulens.cli.process import keep_freed_memory
from ulens.encodings.table import ENCODINGS
from ulens.normalize import fit_normalization
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.parts import Length
from ulens.planning.recipes import LONG_STEPS, Asked, make_plan
from ulens.simulate.challenges import simulate_cells
from ulens.training.speed import tensor_formats
from ulens.training.tensors import prepare
from ulens.training.trainer import Trainer

SIDE_PX, TILE_PX, OUTPUT_PX = 572, 572, 388
STEPS_A_ROUND = 3
Images = tuple[list[np.ndarray], list[np.ndarray]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--width", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    keep_freed_memory()
    images, labels = map(list, simulate_cells(4, size=SIDE_PX))
    plan = _plan(images, labels, options.width)
    loops = {
        "ulens": ulens_loop(plan, images, labels),
        "MONAI": monai_loop(plan, images, labels),
        "nnU-Net": nnunet_loop(plan, images, labels),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(1 + options.rounds):  # the first is to warm up
        for name, loop in loops.items():
            start = time.perf_counter()
            for _ in range(STEPS_A_ROUND):
                next(loop)
            if number:
                seconds[name].append((time.perf_counter() - start) / STEPS_A_ROUND)
    print(
        f"{date.today()}, {platform.processor() or platform.machine()}, "
        f"{torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}, "
        f"width {options.width}\n"
    )
    print("| loop | steps per second | ulens makes |\n|---|---|---|")
    ours = median(seconds["ulens"])
    for name, taken in seconds.items():
        print(f"| {name} | {1 / median(taken):.2f} | {median(taken) / ours:.1f} × as many |")


def _plan(images: list[np.ndarray], labels: list[np.ndarray], width: int) -> Any:
    annotated = Annotated(
        samples=_samples(images, labels), labels_are="instances", class_values=(0, 1),
        spacing_um=None, reading="", unpaired=[],
    )  # fmt: skip
    fingerprint = take_fingerprint(annotated)
    plan = make_plan(
        fingerprint,
        Asked(length=Length(steps=LONG_STEPS), width=width, depth=4, zoom=(1.0, 1.0)),
        class_weights=(1.0, 1.0),
        formats=tensor_formats(torch.device("cpu")),
    )

    return replace(plan, network=replace(plan.network, batch_norm=False))


def _samples(images: list[np.ndarray], labels: list[np.ndarray]) -> list[Sample]:
    return [
        Sample(name=str(number), image=image[None], label=label.astype(np.int32))
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def ulens_loop(plan: Any, images: list[np.ndarray], labels: list[np.ndarray]) -> Iterator[object]:
    samples = _samples(images, labels)
    normalization = fit_normalization(sample.image for sample in samples)
    tiles = prepare(samples, normalization, plan=plan, device=torch.device("cpu"))
    return iter(Trainer(plan.make_network(1), tiles, plan))


def _targets(labels: list[np.ndarray]) -> list[np.ndarray]:
    return [ENCODINGS["boundary"].encode(label)[None].astype(np.float32) for label in labels]


def monai_loop(plan: Any, images: list[np.ndarray], labels: list[np.ndarray]) -> Iterator[object]:
    from monai.data import DataLoader, Dataset
    from monai.engines import SupervisedTrainer
    from monai.losses import DiceCELoss
    from monai.transforms import (
        Compose,
        Rand2DElasticd,
        RandFlipd,
        RandGaussianNoised,
        RandRotate90d,
        ScaleIntensityd,
    )

    keys = ("image", "label")
    vary = Compose(
        [
            ScaleIntensityd(keys="image"),
            RandFlipd(keys=keys, prob=0.5),
            RandRotate90d(keys=keys, prob=0.5),
            Rand2DElasticd(
                keys=keys, spacing=(128, 128), magnitude_range=(5, 15), prob=1.0,
                rotate_range=(3.14,), scale_range=(0.15, 0.15), mode=("bilinear", "nearest"),
                padding_mode="reflection", spatial_size=(TILE_PX, TILE_PX),
            ),
            RandGaussianNoised(keys="image", prob=0.5),
        ]
    )  # fmt: skip
    data = [
        {"image": image[None].astype(np.float32), "label": target}
        for image, target in zip(images, _targets(labels), strict=True)
    ]
    net = plan.make_network(1)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    margin = net.geometry.margin
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(Dataset(data, vary), batch_size=1),
        network=net,
        optimizer=torch.optim.Adam(net.parameters(), 1e-3),
        loss_function=lambda output, label: loss(output, _inner(label, margin)),
    )
    while True:
        for batch in trainer.data_loader:
            trainer.network.train()
            yield trainer._iteration(trainer, batch)


def nnunet_loop(plan: Any, images: list[np.ndarray], labels: list[np.ndarray]) -> Iterator[object]:
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    vary: Callable[..., dict[str, Tensor]] = nnUNetTrainer.get_training_transforms(
        (TILE_PX, TILE_PX), (-np.pi, np.pi), None, (0, 1), False
    )
    net = plan.make_network(1)
    loss = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    margin = net.geometry.margin
    trainer = nnUNetTrainer.__new__(nnUNetTrainer)  # its step, without its folders
    trainer.device, trainer.network, trainer.grad_scaler = torch.device("cpu"), net, None
    trainer.loss = lambda output, target: loss(output, _inner(target, margin))
    trainer.optimizer = torch.optim.SGD(
        net.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True
    )
    prepared = [
        (torch.from_numpy((image - image.mean()) / image.std())[None].float(), torch.from_numpy(t))
        for image, t in zip(images, _targets(labels), strict=True)
    ]
    number = 0
    while True:
        image, target = prepared[number % len(prepared)]
        varied = vary(image=image, segmentation=target.short())
        batch = {"data": varied["image"][None], "target": varied["segmentation"][None]}
        number += 1
        yield trainer.train_step(batch)


def _inner(target: Tensor, margin: int) -> Tensor:
    """Cut out what an unpadded network decides on."""
    return target[..., margin:-margin, margin:-margin]


if __name__ == "__main__":
    main()
