"""nnU-Net v2, MONAI, Cellpose and StarDist on the images and in the minutes of `ulens compare`.

In a virtual environment of its own, as of benchmarks/rivals.py:

    PYTHONPATH=src python benchmarks/compare_rivals.py nnunet|monai|cellpose|stardist DATA OUT \\
        --time 10min --frames 0-49 --score 54-83

nnU-Net and MONAI learn the targets that the U-Net learns there: classes, or instances with the gaps
between them. They hold out the same images, on which the thresholds of the same decoding are tuned,
and are scored on the same unseen ones. After 70 % of the time MONAI trains on the held-out images
too, as ulens does; nnU-Net, which knows no such change, never.
Everything else is theirs: nnU-Net's plan, normalisation, patches, augmentation, loss, optimizer and
mirrored prediction, its learning rate falling over the minutes as it would over its thousand
epochs; of MONAI the network and the settings of its tutorial of 2-D segmentation (patches of 96²
px, batches, Dice and cross-entropy, Adam). Cellpose and StarDist make instances in their own way:
benchmarks/instance_rivals.py.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from instance_rivals import Trained, train_cellpose, train_stardist

from ulens.annotated.holdout import split_samples
from ulens.annotated.samples import Sample, read_annotated
from ulens.annotated.unseen import divide
from ulens.encodings.table import ENCODINGS, decode_maps
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.nets.properties import count_parameters
from ulens.paper.measures import unseen_errors
from ulens.planning.durations import parse_duration
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.parts import Length
from ulens.planning.recipes import Asked, make_plan
from ulens.predict.timing import time_once
from ulens.tracking.field_of_interest import find_field_of_interest
from ulens.training.clock import USUAL
from ulens.training.tuning import decode_with, tune_thresholds
from ulens.training.validate import Prediction, first_decoding, score, score_unseen

DATASET = "Dataset001_compare"
PATCH_PX, BATCH, NUM_RUNS, SIDE_PX = 96, 20, 3, 512


Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a rival is given.

    `whole` is all that is annotated, `tune` tunes the decoding of a predictor on what is held out;
    after that it may be trained on, as ulens does in the last `1 - USUAL.scored_at` of its time.
    """

    training: Sequence[Sample]
    held_out: Sequence[Sample]
    whole: Sequence[Sample]
    tune: Callable[[Predict], None]
    encode: Callable[[np.ndarray], np.ndarray]
    num_classes: int
    seconds: float
    out: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """What it made of that: a network, its steps, and (C, Y, X) images to probabilities.

    `predict` returns instances where the rival makes these itself.
    """

    num_parameters: int
    steps: int
    seconds: float
    predict: Predict
    makes_instances: bool = False


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("rival", choices=RIVALS)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--time", default="10min")
    arguments.add_argument("--frames", required=True)
    arguments.add_argument("--score", required=True)
    options = arguments.parse_args()
    options.out.mkdir(parents=True)  # an earlier run stays as it is
    division = divide(options.data, training=options.frames, unseen=options.score)
    annotated = read_annotated(options.data, frames=options.frames)
    split = split_samples(annotated.samples, labels_are=annotated.labels_are)
    fingerprint = take_fingerprint(annotated)
    weights = (1.0,) * fingerprint.num_classes
    asked = Asked(length=Length(steps=1))
    encoding = make_plan(fingerprint, asked, class_weights=weights).encoding.name
    way = ENCODINGS[encoding]
    torch.manual_seed(0)
    decoding = first_decoding(split.training, encoding)
    held_out: list[Prediction] = []

    def run(predict: Predict, each: Sequence[Sample]) -> list[Prediction]:
        predictions = []
        for sample in each:
            maps, labels = decode_maps(encoding, predict(sample.image), decoding)
            predictions.append(Prediction(sample=sample, maps=maps, labels=labels))
        return predictions

    def tune(predict: Predict) -> None:
        nonlocal held_out, decoding
        held_out = run(predict, split.held_out)
        if way.grid:
            decoding = tune_thresholds(held_out, encoding, decoding)
            held_out = decode_with(held_out, encoding, decoding)

    rival = RIVALS[options.rival](
        Task(
            training=split.training,
            held_out=split.held_out,
            whole=split.whole,
            tune=tune,
            encode=way.encode,
            num_classes=len(way.outputs) or fingerprint.num_classes,
            seconds=parse_duration(options.time),
            out=options.out.resolve(),
        )
    )
    if rival.makes_instances:
        held_out, found = (
            [take_instances(each, rival.predict(each.image)) for each in samples]
            for samples in (split.held_out, division.samples)
        )
    else:
        if not held_out:
            tune(rival.predict)
        found = run(rival.predict, division.samples)
    border = find_field_of_interest(options.data)
    print(f"field of interest, by the folder's name: {border} px inside")
    scores = score_unseen(found, division.labels_are, field_of_interest_px=border)
    errors = unseen_errors(found, division.labels_are)
    square = np.resize(division.samples[0].image, (len(found[0].sample.image), SIDE_PX, SIDE_PX))
    record = {
        "rival": options.rival,
        "scores": scores,
        "held out": score(held_out, division.labels_are),
        "errors": {name: getattr(errors, name) for name in errors.__slots__},
        "decoding": None if rival.makes_instances else decoding,
        "parameters": rival.num_parameters,
        "steps": rival.steps,
        "training seconds": rival.seconds,
        f"seconds for {SIDE_PX}²": sorted(
            time_once(lambda: rival.predict(square)) for _ in range(NUM_RUNS)
        )[NUM_RUNS // 2],
    }
    text = json.dumps(record, indent=2, default=float)
    (options.out / "scores.json").write_text(text)
    print(text)


def take_instances(sample: Sample, instances: np.ndarray) -> Prediction:
    maps = np.stack([instances == 0, instances > 0]).astype(np.float32)
    return Prediction(sample=sample, maps=maps, labels=instances)


def train_monai(task: Task) -> Rival:
    """The network and the settings of MONAI's tutorial unet_training_array, in two dimensions."""
    from monai.inferers import sliding_window_inference
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet
    from monai.transforms import (
        Compose,
        RandCropByPosNegLabeld,
        RandFlipd,
        RandRotate90d,
        ScaleIntensityd,
    )
    from monai.utils import set_determinism

    set_determinism(0)
    scale = ScaleIntensityd(keys="image")

    def prepare(samples: Sequence[Sample]) -> list[Any]:
        labels = [task.encode(sample.label)[None].astype(np.float32) for sample in samples]
        return [
            scale({"image": sample.image.astype(np.float32), "label": label})
            for sample, label in zip(samples, labels, strict=True)
        ]

    prepared = prepare(task.training)
    keys = ("image", "label")
    vary = Compose(
        [
            RandCropByPosNegLabeld(
                keys=keys, label_key="label", spatial_size=(PATCH_PX, PATCH_PX), num_samples=1
            ),
            RandRotate90d(keys=keys, prob=0.5, spatial_axes=(0, 1)),
            RandFlipd(keys=keys, prob=0.5, spatial_axis=0),
        ]
    )
    net = UNet(
        spatial_dims=2,
        in_channels=len(task.training[0].image),
        out_channels=task.num_classes,
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=2,
    )
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    sure = torch.full((1, task.num_classes, 1, 1), -20.0)
    sure[:, 0] = 20.0
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    generator = np.random.default_rng(0)

    @torch.inference_mode()
    def predict(image: np.ndarray) -> np.ndarray:
        net.eval()
        scaled = scale({"image": image.astype(np.float32)})["image"][None]
        logits = sliding_window_inference(torch.as_tensor(scaled), (PATCH_PX, PATCH_PX), 4, net)
        return logits[0].softmax(0).numpy()

    started, steps, uses_all = time.perf_counter(), 0, False
    while (passed := time.perf_counter() - started) < task.seconds:
        if passed >= USUAL.scored_at * task.seconds and not uses_all:
            task.tune(predict)
            net.train()
            prepared, uses_all = prepare(task.whole), True
            started += time.perf_counter() - started - passed  # that is no training
        chosen = generator.integers(len(prepared), size=BATCH)
        items = [vary(prepared[number])[0] for number in chosen]
        images, labels = (torch.stack([torch.as_tensor(i[key]) for i in items]) for key in keys)
        optimizer.zero_grad()
        # ignored pixels: told to be background, and taken for it
        outputs = torch.where(labels < 0, sure, net(images))
        loss(outputs, labels.clamp(min=0)).backward()
        optimizer.step()
        steps += 1
    seconds = time.perf_counter() - started
    return Rival(
        num_parameters=count_parameters(net), steps=steps, seconds=seconds, predict=predict
    )


def train_nnunet(task: Task) -> Rival:
    """nnU-Net with its own 2-D plan."""
    settings = {name: str(task.out / name) for name in ("raw", "preprocessed", "results")}
    os.environ |= {f"nnUNet_{name}": value for name, value in settings.items()}
    started = time.perf_counter()
    _write_raw(task)
    run = str(Path(sys.executable).with_name("nnUNetv2_plan_and_preprocess"))
    command = [run, "-d", "1", "-c", "2d", "-npfp", "2", "-np", "2"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    preprocessed = task.out / "preprocessed" / DATASET
    cases = [
        [f"{kind}{number:03d}" for number in range(len(samples))]
        for kind, samples in (("t", task.training), ("h", task.held_out))
    ]
    splits = [{"train": cases[0], "val": cases[1]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))
    settings = {"n_proc_DA": "0", "compile": "false"}  # augmentation in this process
    os.environ |= {f"nnUNet_{name}": value for name, value in settings.items()}

    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False
    dataset = json.loads((task.out / "raw" / DATASET / "dataset.json").read_text())
    torch.set_num_threads(os.cpu_count() or 1)
    trainer = nnUNetTrainer(plans, "2d", 0, dataset, device=torch.device("cpu"))
    trainer.on_train_start()
    trainer.network.train()
    steps = 0
    while (passed := time.perf_counter() - started) < task.seconds:
        rate = trainer.initial_lr * (1 - passed / task.seconds) ** 0.9
        for group in trainer.optimizer.param_groups:
            group["lr"] = rate
        trainer.train_step(next(trainer.dataloader_train))
        steps += 1
    seconds = time.perf_counter() - started
    trainer.set_deep_supervision_enabled(False)
    net = trainer.network.eval()
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        net, trainer.plans_manager, trainer.configuration_manager, [net.state_dict()], dataset,
        "nnUNetTrainer", trainer.inference_allowed_mirroring_axes,
    )  # fmt: skip

    def predict(image: np.ndarray) -> np.ndarray:
        properties: dict[str, Any] = {"spacing": (999.0, 1.0, 1.0)}
        pixels = image[:, None].astype(np.float32)
        _, probabilities = predictor.predict_single_npy_array(
            pixels, properties, None, None, save_or_return_probabilities=True
        )
        return np.asarray(probabilities, np.float32)[:, 0]

    return Rival(
        num_parameters=count_parameters(net), steps=steps, seconds=seconds, predict=predict
    )


def _write_raw(task: Task) -> None:
    """Write the folder that nnU-Net plans from; ignored pixels are a label of their own."""
    folder = task.out / "raw" / DATASET
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir(parents=True)
    for kind, samples in (("t", task.training), ("h", task.held_out)):
        for number, sample in enumerate(samples):
            target = task.encode(sample.label)
            label = np.where(target < 0, task.num_classes, target).astype(np.uint8)
            for channel, plane in enumerate(sample.image):
                name = f"{kind}{number:03d}_{channel:04d}.tif"
                write_tiff(folder / "imagesTr" / name, Image(data=plane, axes="YX"))
            write_tiff(
                folder / "labelsTr" / f"{kind}{number:03d}.tif", Image(data=label, axes="YX")
            )
    classes = {"background": 0, **{f"class {k}": k for k in range(1, task.num_classes)}}
    description = {
        "channel_names": {str(k): "microscope" for k in range(len(task.training[0].image))},
        "labels": {**classes, "ignore": task.num_classes},
        "numTraining": len(task.training) + len(task.held_out),
        "file_ending": ".tif",
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def _of_instances(trained: Trained) -> Rival:
    segment, num_parameters, steps, seconds = trained
    return Rival(
        num_parameters=num_parameters, steps=steps, seconds=seconds, predict=segment,
        makes_instances=True,
    )  # fmt: skip


RIVALS: dict[str, Callable[[Task], Rival]] = {
    "monai": train_monai,
    "nnunet": train_nnunet,
    "cellpose": lambda task: _of_instances(train_cellpose(task.whole, task.seconds, task.out)),
    "stardist": lambda task: _of_instances(
        train_stardist(task.training, task.held_out, task.seconds, task.out)
    ),
}

if __name__ == "__main__":
    main()
