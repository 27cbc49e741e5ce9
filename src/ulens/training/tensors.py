"""Training images as tensors: normalised pixels, targets and weight maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import skimage as ski
import torch
from scipy import ndimage
from torch import Tensor

from ulens.annotated.samples import Sample
from ulens.augment.pipeline import Draw, apply, draw_tile
from ulens.encodings.table import ENCODINGS
from ulens.encodings.weights import falk_weight, separation_weight
from ulens.errors import LabelError
from ulens.io.store import ArrayStore
from ulens.labels.grid import labels_at
from ulens.labels.meaning import IGNORED
from ulens.normalize import Normalization
from ulens.planning.plan import Plan
from ulens.resample import AS_IT_IS, resample

FARTHEST_SD = 3.0
"""Elastic displacements are hardly ever farther."""


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One annotated image, ready to be cut into tiles.

    Parameters
    ----------
    name : for messages
    image : (C, Y, X) float32, normalised, on the network's grid as all else
    target : (Y, X) int16 class of each pixel, −1 = ignored, or (K, Y, X) float32 in [0, 1]
    weight : (Y, X) float32 loss weight, 0 where ignored
    """

    name: str
    image: Tensor
    target: Tensor
    weight: Tensor
    _pixels: dict[int, np.ndarray] = field(default_factory=dict, init=False, compare=False)
    _near: dict[int, np.ndarray | None] = field(default_factory=dict, init=False, compare=False)

    def classes(self) -> np.ndarray:
        """Return the class of each pixel, (Y, X) integer, −1 = ignored; of shares the largest."""
        target = self.target.cpu().numpy()
        if target.ndim == 2:
            return target
        return np.where(self.weight.cpu().numpy() > 0, target.argmax(0), IGNORED)

    def pixels(self, number: int) -> np.ndarray:
        """Return where class `number` lies in the flattened target; all that is annotated if none.

        They are looked for once and kept.
        """
        if number not in self._pixels:
            target = self.classes()
            found = np.flatnonzero(target == number)
            self._pixels[number] = found if len(found) else np.flatnonzero(target != IGNORED)
        return self._pixels[number]

    def near_annotation(self, reach_px: int) -> np.ndarray | None:
        """Return where in the flattened image something annotated is near, or None for everywhere.

        Parameters
        ----------
        reach_px : how many lines and columns away it may be, also in the mirror beyond the edge
        """
        if reach_px not in self._near:
            annotated = self.weight.cpu().numpy() > 0
            near = ndimage.maximum_filter(annotated, 2 * reach_px + 1, mode="mirror")
            self._near[reach_px] = None if near.all() else np.flatnonzero(near)
        return self._near[reach_px]


def weight_map(label: np.ndarray, target: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the weight of every pixel in the loss, (Y, X) float32, 0 where ignored.

    w(x) = w_c(x) + the separation weight of the gaps, or the map of Falk et al. 2019. In a
    two-class label image the instances are the connected components of the foreground; with
    more classes there are none and w_c stands alone. Distances weigh the same everywhere.
    Source: paper, equation 2.
    """
    if not ENCODINGS[plan.encoding.name].by_class:
        return (label != IGNORED).astype(np.float32)
    class_weights = np.asarray(plan.encoding.class_weights, np.float32)
    weight = class_weights[np.maximum(target, 0)]
    instances = label
    if ENCODINGS[plan.encoding.name].labels_are == "classes":
        instances = ski.measure.label(label == 1, connectivity=1)
    gaps = {"w0": plan.encoding.border_weight, "sigma_px": plan.encoding.border_sigma_px}
    if plan.encoding.weight_map == "falk":
        weight = falk_weight(instances, **gaps)
    elif plan.encoding.border_weight > 0 and plan.encoding.has_gaps:
        weight = weight + separation_weight(instances, **gaps)
    return np.where(target == IGNORED, 0, weight).astype(np.float32)


def prepare(
    samples: Sequence[Sample],
    normalization: Normalization,
    *,
    plan: Plan,
    device: torch.device,
    store: ArrayStore | None = None,
) -> list[TrainingImage]:
    """Normalise, encode and weigh annotated images; those without annotation are left out.

    Parameters
    ----------
    store : keeps the arrays; without it a new one
    """
    store = store or ArrayStore()
    images = []
    for sample in samples:
        if (sample.label == IGNORED).all():
            continue
        arrays = [
            resample(normalization.apply(sample.image), plan.tiles.zoom),
            *_learned(sample, plan),
        ]
        if device.type == "cpu":  # another device has its own memory
            arrays = [store.keep(each) for each in arrays]
        tensors = [torch.from_numpy(each).to(device) for each in arrays]
        images.append(TrainingImage(sample.name, *tensors))
    if not images:
        raise LabelError("no pixel of the training images is annotated; annotate some of them")
    return images


def _learned(sample: Sample, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return target and weight on the network's grid."""
    way = ENCODINGS[plan.encoding.name]
    if plan.tiles.zoom == AS_IT_IS:
        target = way.encode(sample.label)
        return target, weight_map(sample.label, target, plan)
    label = labels_at(sample.label, plan.tiles.zoom)
    weight = weight_map(label, way.encode(label), plan)
    return way.encode_at(sample.label, plan.tiles.zoom, label, plan.encoding.num_outputs), weight


def class_frequencies(images: Sequence[TrainingImage], num_classes: int) -> np.ndarray:
    """Return the share of each class in the annotated pixels, (K,) float64."""
    counts = np.zeros(num_classes)
    for each in images:
        target = each.classes()
        counts += np.bincount(target[target != IGNORED], minlength=num_classes)
    return counts / counts.sum()


def draw(images: Sequence[TrainingImage], plan: Plan, visit: int) -> Draw:
    """Draw training tile number `visit`."""
    output = plan.network_geometry.output_size(plan.tiles.crop)
    drawn = draw_tile(
        plan.augmentation.geometry,
        plan.augmentation.intensity,
        image_sizes=[(item.weight.shape[0], item.weight.shape[1]) for item in images],
        output_size=(output, output),
        seed=plan.seed,
        visit=visit,
    )
    image = images[drawn.image_index]
    if plan.tiles.balanced:
        centre = _balanced_centre(image, plan, visit)
    elif plan.augmentation.geometry.beyond_edges:
        centre = _centre_near_annotation(image, plan, visit, output) or drawn.geometry.centre
    else:
        return drawn
    return replace(drawn, geometry=replace(drawn.geometry, centre=centre))


def _centre_near_annotation(
    image: TrainingImage, plan: Plan, visit: int, output: int
) -> tuple[float, float] | None:
    """Draw the middle of a tile from all those whose tiles may hold annotated pixels.

    None where these are all: then any middle will do. Tiles that are surely empty teach nothing,
    and leaving them out changes no share of any annotated pixel.
    """
    geometry = plan.augmentation.geometry
    stretch = max(*geometry.scale, *(1 / scale for scale in geometry.scale))
    reach = output / 2 * math.sqrt(2) * stretch + FARTHEST_SD * geometry.elastic_sd_px
    near = image.near_annotation(math.ceil(reach))
    if near is None:
        return None
    generator = np.random.default_rng([plan.seed, 4, visit])
    y, x = np.unravel_index(near[generator.integers(len(near))], image.weight.shape)
    dy, dx = generator.random(2) - 0.5
    return float(y + dy), float(x + dx)


def _balanced_centre(image: TrainingImage, plan: Plan, visit: int) -> tuple[float, float]:
    """Draw a pixel of the class whose turn it is, or of any where the image has none of it."""
    pixels = image.pixels(visit % len(plan.encoding.class_weights))
    drawn = pixels[np.random.default_rng([plan.seed, 3, visit]).integers(len(pixels))]
    y, x = np.unravel_index(drawn, image.weight.shape)
    return float(y), float(x)


def cut(images: Sequence[TrainingImage], plan: Plan, drawn: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tile, target and weight of one draw (see `augment.pipeline.apply`)."""
    item = images[drawn.image_index]
    output = plan.network_geometry.output_size(plan.tiles.crop)
    return apply(drawn, item.image, item.target, item.weight, plan.tiles.crop, output)
