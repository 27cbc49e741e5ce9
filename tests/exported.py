"""Models to export, and what they make of an image without being exported."""

import numpy as np

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS
from ulens.nets.build import build_network
from ulens.normalize import Normalization
from ulens.predict.predictor import Predictor

NETWORKS = [
    {"name": "unet", "in_channels": 1, "num_classes": 2, "width": 2, "depth": 2},
    {"name": "unet", "in_channels": 3, "num_classes": 3, "width": 2, "depth": 1},
    {"name": "sliding-window", "in_channels": 1, "num_classes": 2, "width": 2, "window": 33},
    {"name": "fcn-8s", "in_channels": 1, "num_classes": 2, "width": 1},
]


def make_bundle(architecture, zoom=(1.0, 1.0), encoding="classes", floor=0.3):
    num_channels, num_classes = architecture["in_channels"], architecture["num_classes"]
    return ModelBundle(
        net=build_network(architecture).eval(),
        normalization=Normalization((floor,) * num_channels),
        encoding=encoding,
        class_values=tuple(range(num_classes)),
        zoom=zoom,
    )


def expected(bundle, image):
    activation = ENCODINGS[bundle.encoding].activation
    predictor = Predictor(bundle.net, activation=activation, device="cpu", engine="fp32")
    return predictor.predict(bundle.normalization.apply(image), bundle.zoom)


def draw_image(seed, size, num_channels=1):
    """Smooth grey values of 16 bits on a large offset."""
    generator = np.random.default_rng(seed)
    rough = generator.normal(size=(num_channels, *size))
    smooth = sum(np.roll(rough, k, axis) for axis in (1, 2) for k in range(5))
    offset = generator.integers(0, 60_000)
    return (offset + 100 * smooth).clip(0, 65_535).astype(np.uint16)
