"""A model that needs no training: it finds what is brighter than the image's mean."""

import numpy as np
import torch
from torch import nn

from ulens.bundle import ModelBundle, save_bundle
from ulens.jobs.segment import run_segmentation
from ulens.jobs.segmenting import SegmentProgress, SegmentSettings
from ulens.nets.unet import UNet
from ulens.normalize import Normalization


def make_bundle(
    *,
    in_channels=1,
    labels_are="classes",
    encoding=None,
    class_values=(0, 255),
    decoding=None,
    spacing_um=None,
):
    """A model that finds what is brighter than the image's mean in the first channel."""
    net = UNet(in_channels, len(class_values), width=2, depth=1)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    with torch.no_grad():
        # the first channel passes through the skip connection; +3 lifts it over the ReLUs
        net.down[0][0].weight[0, 0, 1, 1] = 1
        net.down[0][0].bias[0] = 3
        for convolution in (net.down[0][2], net.merge[0][0], net.merge[0][2]):
            convolution.weight[0, 0, 1, 1] = 1
        net.head.weight[1, 0] = 20
        net.head.bias[1] = -60
    return ModelBundle(
        net=net,
        normalization=Normalization((1.0,) * in_channels),
        encoding=encoding or ("classes" if labels_are == "classes" else "boundary"),
        class_values=class_values,
        decoding=decoding or {},
        spacing_um=spacing_um,
    )


def save_instances_model(folder):
    """Write one that finds instances; return its folder."""
    save_bundle(make_bundle(labels_are="instances", decoding={"threshold": 0.5}), folder)
    return folder


def events_of(model, images, out, **options):
    """The events of a segmentation, which is done while they are taken."""
    return run_segmentation(SegmentSettings(model, images, out=out, **options))


def notes_of(events):
    """The notes, but the one that all models get which know nothing of their images."""
    notes = [event.note for event in events if isinstance(event, SegmentProgress) and event.note]
    return [note for note in notes if "cannot warn of images unlike" not in note]


def make_cells(*shape, seed=0, per_plane=12):
    """Bright squares on a dark ground, some of which overlap, in each plane."""
    generator = np.random.default_rng(seed)
    image = np.full(shape, 10, np.uint8)
    for plane in image.reshape(-1, *shape[-2:]):
        for _ in range(per_plane):
            y, x = generator.integers(0, np.array(shape[-2:]) - 9)
            plane[y : y + 7, x : x + 7] = 200
    return image


def make_image(*shape, dtype=np.uint8):
    """Dark with a bright square in the upper left quarter of each plane."""
    image = np.full(shape, 10, dtype)
    image[..., 3:9, 3:9] = 200
    return image
