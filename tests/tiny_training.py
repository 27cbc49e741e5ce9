"""A tiny training: depth 1, width 8, images of 24 px, milliseconds per step."""

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.planning.plan import Plan, nest
from ulens.training.tensors import TrainingImage


def tiny_plan(**changes) -> Plan:
    values = {
        "recipe": "default",
        "encoding": "classes",
        "width": 8,
        "depth": 1,
        "crop": 34,
        "optimizer": "adamw",
        "dropout": 0.1,
        "learning_rate": 1e-2,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "warmup_steps": 5,
        "clip_norm": 1.0,
        "averaging": 0.9,
        "batch_norm": True,
        "precision": "fp32",
        "class_weights": (1.0, 1.0),
        "border_weight": 0.0,
        "geometry": GeometrySettings(elastic_sd_px=1.0),
        "intensity": IntensitySettings(noise_sd=0.1),
        "steps": 120,
    }
    return Plan.from_json(nest(_plain({**values, **changes})))


def changed(plan: Plan, **changes) -> Plan:
    """The plan with other values, by the names of their entries in whatever part."""
    record = plan.to_json()
    for part, entries in nest(_plain(changes)).items():
        record[part] = {**record[part], **entries} if isinstance(entries, dict) else entries
    return Plan.from_json(record)


def _plain(values: dict) -> dict:
    return {name: asdict(v) if is_dataclass(v) else v for name, v in values.items()}


def squares(seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares on a dark noisy ground: (Y, X) uint8 image and 0/255 label."""
    generator = np.random.default_rng(seed)
    label = np.zeros((size, size), np.uint8)
    for _ in range(4):
        y, x = generator.integers(0, size - 8, 2)
        label[y : y + 8, x : x + 8] = 255
    image = 60 + 0.4 * label + generator.normal(0, 15, label.shape)
    return image.clip(0, 255).astype(np.uint8), label


def training_images() -> list[TrainingImage]:
    """Three images of squares, normalised."""
    images = []
    for seed in range(3):
        image, label = squares(seed)
        pixels = torch.from_numpy((image - image.mean()) / image.std())[None].float()
        target = torch.from_numpy((label > 0).astype(np.int16))
        images.append(TrainingImage(f"image {seed}", pixels, target, torch.ones(40, 40)))
    return images


def write_folder(folder: Path, *, number: int = 7, **plan_changes: object) -> Path:
    """Write images/, labels/ with 40-px images of squares, and the plan.json to train by."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for seed in range(number):
        image, label = squares(seed)
        write_tiff(folder / "images" / f"{seed}.tif", Image(data=image, axes="YX"))
        write_tiff(folder / "labels" / f"{seed}.tif", Image(data=label, axes="YX"))
    (folder / "plan.json").write_text(json.dumps(tiny_plan(**plan_changes).to_json()))
    return folder


def settings_for(folder: Path, **changes) -> TrainSettings:
    """Settings for a training on what `write_folder` wrote."""
    values = {
        "images": folder / "images",
        "labels": folder / "labels",
        "out": folder / "model",
        "plan": folder / "plan.json",
    }
    return TrainSettings(**{**values, **changes})


def weights_of(folder: Path) -> torch.Tensor:
    """All weights of a model."""
    tensors = safetensors.torch.load_file(folder / "weights.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])
