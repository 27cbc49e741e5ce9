"""Which tiles a training is shown at which step."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.planning.parts import AugmentationPlan
from ulens.planning.plan import Plan
from ulens.training.ranks import Ranks
from ulens.training.tensors import TrainingImage, cut, draw

NUM_PLAIN_TILES, PLAIN_OUTPUT_PX, MAX_PLAIN_DRAWS = 10, 196, 100
CONSTANT_SD = 1e-3  # whole images have 1
_UNVARIED = AugmentationPlan(
    geometry=GeometrySettings(elastic_sd_px=0, rotation_deg=0, mirror=False),
    intensity=IntensitySettings(slope=(1, 1), offset_sd=0),
)


class Tiles:
    """The tiles of a training; which ones a step sees depends on the plan's seed and the step.

    Parameters
    ----------
    images : the training images
    all_images : these and the held-out ones, for the time after `use_all`
    plan : how tiles are drawn
    ranks : the processes that share the tiles of a step
    """

    def __init__(
        self,
        images: Sequence[TrainingImage],
        all_images: Sequence[TrainingImage],
        plan: Plan,
        ranks: Ranks,
    ) -> None:
        self.images, self.all_images, self.uses_all = images, all_images, False
        self.skipped: list[int] = []
        """Numbers of the draws that are left out for good."""
        self._plan, self._ranks = plan, ranks

    def visits(self, step: int) -> list[int]:
        """Return the numbers of a step's draws in all processes: the next ones not left out."""
        visits = []
        num = self._plan.tiles.batch * self._ranks.num
        for number in range(step * num, (step + 1) * num):
            visit = number
            for bad in sorted(self.skipped):
                visit += bad <= visit
            visits.append(visit)
        return visits

    def own(self, visits: Sequence[int]) -> Sequence[int]:
        """Return those of a step's draws that this process does."""
        start = self._ranks.rank * self._plan.tiles.batch
        return visits[start : start + self._plan.tiles.batch]

    def cut(self, visits: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, C, Y, X) tiles, and their (B, …) targets and (B, Y, X) weights."""
        images = self._images()
        draws = [draw(images, self._plan, visit) for visit in visits]
        tiles, targets, weights = zip(*(cut(images, self._plan, d) for d in draws), strict=True)
        return torch.stack(tiles), torch.stack(targets), torch.stack(weights)

    def names(self, visits: Sequence[int]) -> str:
        """Return the names of the images that tiles are from."""
        images = self._images()
        return ", ".join(images[draw(images, self._plan, v).image_index].name for v in visits)

    def plain(self, most: int = NUM_PLAIN_TILES) -> Tensor:
        """Return (B, C, Y, X) tiles that are not varied, of as many images as there are.

        Constant ones are left out, unless there are no others.
        """
        images = self._images()
        largest = max(max(each.weight.shape) for each in images)
        crop = self._plan.network_geometry.input_size(min(largest, PLAIN_OUTPUT_PX))
        plan = replace(
            self._plan, tiles=replace(self._plan.tiles, crop=crop), augmentation=_UNVARIED
        )
        tiles = (cut(images, plan, draw(images, plan, i))[0] for i in range(MAX_PLAIN_DRAWS))
        varied = (tile for tile in tiles if float(tile.std()) > CONSTANT_SD)
        chosen = list(islice(varied, most))
        return torch.stack(chosen or [cut(images, plan, draw(images, plan, 0))[0]])

    def _images(self) -> Sequence[TrainingImage]:
        return self.all_images if self.uses_all else self.images
