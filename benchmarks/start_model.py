"""Train a network on simulated and public images, from which trainings may start.

    python benchmarks/start_model.py OUT [--scenes N] [--steps N] [--resume]

Draws scenes of `ulens.simulate.mixture`, adds the images of dsb2018-start (CC0) where ULENS_DATA
holds them, brings all objects to one size, and trains OUT/model on them, in shades of grey.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from ulens.annotated.samples import read_annotated
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training
from ulens.labels.grid import labels_at
from ulens.nets.shapes import unet_geometry
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.parts import Length
from ulens.planning.recipes import ELASTIC_SHARE, OBJECT_PX, Asked, make_plan
from ulens.resample import resample
from ulens.simulate.mixture import simulate_scene

DEPTH, WIDTH, OUTPUT_PX = 3, 16, 132
SCALE = (0.65, 1.5)


def main() -> None:
    """Write the images, unless they are there, and train."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--scenes", type=int, default=1500)
    arguments.add_argument("--steps", type=int, default=30000)
    arguments.add_argument("--resume", action="store_true")
    options = arguments.parse_args()
    images, labels = options.out / "images", options.out / "labels"
    if not images.is_dir():
        write(options.out, options.scenes)
    plan = options.out / "plan.json"
    if not options.resume:
        fingerprint = take_fingerprint(read_annotated(images, labels))
        made = make_plan(
            fingerprint,
            Asked(length=Length(steps=options.steps), width=WIDTH, depth=DEPTH, zoom=(1.0, 1.0)),
            class_weights=(1.0, 1.0),
        )
        crop = unet_geometry(DEPTH).input_size(OUTPUT_PX)
        geometry = replace(
            made.augmentation.geometry, scale=SCALE, elastic_sd_px=ELASTIC_SHARE * crop
        )
        made = replace(
            made,
            tiles=replace(made.tiles, crop=crop),
            augmentation=replace(made.augmentation, geometry=geometry),
        )
        plan.write_bytes(made.to_bytes())
    settings = TrainSettings(
        images=images, labels=labels, out=options.out / "model", resume=options.resume,
        plan=None if options.resume else plan,
    )  # fmt: skip
    for event in run_training(settings):
        print(event, flush=True) if type(event).__name__ in ("Message", "Validation") else None


def write(out: Path, num_scenes: int) -> None:
    """Write scenes and public images, all with objects of about one size."""
    for name in ("images", "labels"):
        (out / name).mkdir(parents=True)
    for number in range(num_scenes):
        scene = simulate_scene(number, diameter_px=OBJECT_PX)
        keep(out, f"scene{number:04d}", scene.image, scene.labels)
    root = os.environ.get("ULENS_DATA")
    if root is None:
        print("ULENS_DATA is not set: simulated images alone", flush=True)
        return
    annotated = read_annotated(
        Path(root) / "dsb2018-start" / "images", Path(root) / "dsb2018-start" / "labels"
    )
    for sample in annotated.samples:
        areas = np.bincount(sample.label.clip(0).ravel())[1:]
        if not areas.any():
            continue
        factor = OBJECT_PX / float(np.sqrt(4 * np.median(areas[areas > 0]) / np.pi))
        factor = min(4.0, max(0.25, factor))
        image = resample(sample.image.mean(0, keepdims=True), (factor, factor))[0]
        label = labels_at(sample.label, (factor, factor))
        keep(out, sample.name, np.clip(np.round(image), 0, 65535).astype(np.uint16), label)


def keep(out: Path, name: str, image: np.ndarray, label: np.ndarray) -> None:
    """Write an image with its labels, where there are any."""
    if label.max() > 0:
        tifffile.imwrite(out / "images" / f"{name}.tif", image, compression="zlib")
        tifffile.imwrite(
            out / "labels" / f"{name}.tif", label.astype(np.uint16), compression="zlib"
        )


if __name__ == "__main__":
    main()
