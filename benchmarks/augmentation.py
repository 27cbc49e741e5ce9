"""Elastic deformation of an image with its labels: seconds per tile, beside other libraries.

In an environment with ulens, scipy, kornia, torchio and batchgeneratorsv2 (as for rivals.py):

    PYTHONPATH=src python benchmarks/augmentation.py

A tile of 572² with instance labels, deformed smoothly by some 10 px. All interpolate linearly but
for scipy, by splines of order 3 and, in a row of its own, linearly. ulens also rotates, scales,
mirrors and changes grey values in that time, batchgeneratorsv2 rotates and scales.
"""

import argparse
from collections.abc import Callable
from datetime import date

import numpy as np
import torch
from scipy import ndimage

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.augment.pipeline import apply, draw_tile
from ulens.predict.timing import time_interleaved
from ulens.simulate.challenges import simulate_cells

SIDE_PX, OUTPUT_PX, SD_PX, SMOOTHING_PX = 572, 388, 10.0, 64.0
NODES = 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=9)
    options = arguments.parse_args()
    images, labels = simulate_cells(1, size=SIDE_PX)
    image, label = images[0].astype(np.float32), labels[0].astype(np.int32)
    image = (image - image.mean()) / image.std()
    runs = {
        "ulens": ulens(image, label),
        "scipy, splines of order 3": scipy_order(image, label, 3),
        "scipy, order 1": scipy_order(image, label, 1),
        "kornia": kornia_elastic(image, label),
        "TorchIO": torchio_elastic(image, label),
        "batchgeneratorsv2": batchgenerators(image, label),
    }
    seconds = time_interleaved(runs, num_rounds=options.rounds)
    threads = f"{torch.get_num_threads()} threads"
    print(f"{date.today()}, {threads}, torch {torch.__version__}\n")
    print("| | milliseconds | times ulens |\n|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {1000 * each:.1f} | {each / seconds['ulens']:.1f} |")


def ulens(image: np.ndarray, label: np.ndarray) -> Callable[[], object]:
    pixels, target = torch.from_numpy(image)[None], torch.from_numpy(label).to(torch.int16)
    weight = torch.ones(label.shape)
    visits = iter(range(10**9))

    def run() -> None:
        drawn = draw_tile(
            GeometrySettings(elastic_sd_px=SD_PX, scale=(0.85, 1.2)),
            IntensitySettings(noise_sd=0.3, blur_sd_px=1.0),
            image_sizes=[label.shape],
            output_size=(OUTPUT_PX, OUTPUT_PX),
            seed=0,
            visit=next(visits),
        )
        apply(drawn, pixels, target, weight, SIDE_PX, OUTPUT_PX)

    return run


def scipy_order(image: np.ndarray, label: np.ndarray, order: int) -> Callable[[], object]:
    """Simard et al. 2003, as found in most tutorials: noise smoothed by a Gaussian."""
    generator = np.random.default_rng(0)
    grid = np.indices(image.shape)

    def run() -> None:
        noise = generator.uniform(-1, 1, (2, *image.shape))
        field = ndimage.gaussian_filter(noise, (0, SMOOTHING_PX, SMOOTHING_PX))
        points = grid + SD_PX * field / field.std()
        ndimage.map_coordinates(image, points, order=order, mode="mirror")
        ndimage.map_coordinates(label, points, order=0, mode="mirror")

    return run


def kornia_elastic(image: np.ndarray, label: np.ndarray) -> Callable[[], object]:
    from kornia.augmentation import AugmentationSequential, RandomElasticTransform

    size = 2 * int(SMOOTHING_PX) + 1
    elastic = RandomElasticTransform(
        (size, size), (SMOOTHING_PX, SMOOTHING_PX), (SD_PX / SIDE_PX, SD_PX / SIDE_PX), p=1.0
    )
    both = AugmentationSequential(elastic, data_keys=["input", "mask"])
    pixels = torch.from_numpy(image)[None, None]
    mask = torch.from_numpy(label.astype(np.float32))[None, None]
    return lambda: both(pixels, mask)


def torchio_elastic(image: np.ndarray, label: np.ndarray) -> Callable[[], object]:
    import torchio

    subject = torchio.Subject(
        image=torchio.ScalarImage(tensor=torch.from_numpy(image)[None, ..., None]),
        label=torchio.LabelMap(tensor=torch.from_numpy(label)[None, ..., None]),
    )
    elastic = torchio.RandomElasticDeformation(
        num_control_points=(NODES, NODES, NODES), max_displacement=(2 * SD_PX, 2 * SD_PX, 0),
        locked_borders=0,
    )  # fmt: skip
    return lambda: elastic(subject)


def batchgenerators(image: np.ndarray, label: np.ndarray) -> Callable[[], object]:
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

    transform = SpatialTransform(
        (SIDE_PX, SIDE_PX), 0, False, p_elastic_deform=1, elastic_deform_scale=(0.2, 0.2),
        elastic_deform_magnitude=(0.1, 0.1), p_rotation=1, p_scaling=1, scaling=(0.85, 1.2),
    )  # fmt: skip
    pixels, target = torch.from_numpy(image)[None], torch.from_numpy(label)[None]
    return lambda: transform(image=pixels, segmentation=target)


if __name__ == "__main__":
    main()
