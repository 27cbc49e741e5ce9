"""Images larger than memory: a plane is predicted and decoded block by block.

All that is computed lies in files, one per block, which are wholly there or not at all. So a run
that was killed goes on where it was: what is there is not computed again.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ulens.bundle import ModelBundle
from ulens.instances.encodings import ENCODINGS
from ulens.instances.seeds import Landscape, SeedDecoder
from ulens.io.atomic import write_file
from ulens.io.regions import Plane, Volume
from ulens.labels.flood import flood
from ulens.normalize import Moments, Statistics, check_channels
from ulens.predict.blocks import Block, BlockFiles, Blocks, Window, within
from ulens.predict.predictor import Predictor
from ulens.predict.stitching import Numbering, number_components
from ulens.predict.tiles import mirror_indices, plan_tiles

_READ_PX = (512, 16384)


class PlaneWork:
    """A plane of a large image at work.

    Parameters
    ----------
    volume, plane : what is segmented
    bundle : the model
    folder : for the files of all blocks; what it holds already is taken as done
    blocks : of the plane, their side a multiple of the network's alignment
    halo_px : how far a block's decoding sees beyond it

    Notes
    -----
    Any tile whose origin is a multiple of the alignment gives the outputs of the whole image, so
    blocks are predicted each by itself, with nothing at their borders to be mended.

    Instances begin with seeds: connected components, which are found in each block and joined
    across the borders, so that every seed has one number however large it is. Then each block with
    its halo is flooded from these. An instance whose flooding does not reach farther than the
    halo comes out as from the whole plane. One that floods farther can end there, or meet its
    neighbour elsewhere; such instances are counted. Where two instances reach a pixel at the same
    time, at equal heights, it goes to either.
    """

    def __init__(
        self,
        volume: Volume,
        plane: Plane,
        bundle: ModelBundle,
        *,
        folder: Path,
        blocks: Blocks,
        halo_px: int,
    ) -> None:
        self.blocks, self.plane = blocks, plane
        self._volume, self._bundle, self._halo_px = volume, bundle, halo_px
        self._folder = folder
        self._way = ENCODINGS[bundle.encoding]
        self._maps, self._seeds, self._labels, self._unsure = (
            BlockFiles(folder / name, blocks) for name in ("maps", "seeds", "labels", "unsure")
        )
        self.written = BlockFiles(folder / "written", blocks)

    def measure(self) -> Iterator[None]:
        """Find the statistics of the plane; yield now and then.

        Raises
        ------
        ShapeError : the image has not the channels that the network was trained on
        DataError : pixels are NaN or infinite
        """
        if self._intensities_file.is_file():
            return
        num_needed, num_channels = self._bundle.net.in_channels, self._volume.num_channels
        is_grey = num_needed == 1 and num_channels == 3  # until a pixel says otherwise
        moments = Moments()
        for window in _strips(self._volume.size):
            part = self._volume.read(self.plane, *window)
            is_grey = is_grey and bool((part == part[:1]).all())
            moments.add(part)
            yield
        channels = tuple(range(num_channels))
        if is_grey:  # saved as color
            channels = (0,)
        elif num_needed == 3 and num_channels == 1:
            channels = (0, 0, 0)
        seen = np.broadcast_to(np.uint8(0), (len(channels), *self._volume.size))
        check_channels(seen, num_needed, str(self._volume.path))
        mean, std = moments.statistics()
        found = {
            "channels": channels,
            "mean": [mean[channel] for channel in channels],
            "std": [std[channel] for channel in channels],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._intensities_file, json.dumps(found).encode())

    def num_steps(self, predictor: Predictor) -> int:
        """Return the sum of what `predict` and `decode` yield."""
        per_block = 2 if self._way.decoder else 1 if self._needs_halo else 0
        return self.num_tiles(predictor) + per_block * len(self.blocks)

    def num_tiles(self, predictor: Predictor, *, missing: bool = False) -> int:
        """Return how many tiles the network is run on, in all or of those that are `missing`."""
        counts: dict[tuple[int, ...], int] = {}
        total = 0
        for block in self.blocks:
            if missing and self._is_predicted(block):
                continue
            size = _size(self.blocks.window(block))
            if size not in counts:
                counts[size] = predictor.num_tiles(size)
            total += counts[size]
        return total

    def predict(self, predictor: Predictor) -> Iterator[int]:
        """Run the network on the blocks that lack it; yield how many tiles more are there."""
        for block in self.blocks:
            size = _size(self.blocks.window(block))
            if self._is_predicted(block):
                yield predictor.num_tiles(size)
                continue
            maps = np.empty((self._bundle.net.num_classes, *size), np.float32)
            origin = tuple(side.start for side in self.blocks.window(block))
            for write, part in predictor.stream_block(self._load(origin, size, predictor), size):
                maps[:, *write] = part
                yield 1
            if self._needs_halo:
                self._maps.write(block, maps)
            else:
                self._labels.write(block, self._name_classes(self._decode(maps)))

    def decode(self) -> Iterator[int]:
        """Make labels of what `predict` left; yield 1 for every step."""
        if all(self._labels.has(block) for block in self.blocks):
            for _ in range(len(self.blocks) * (2 if self._way.decoder else self._needs_halo)):
                yield 1
        elif self._way.decoder is not None:
            yield from self._decode_instances(self._way.decoder(**self._bundle.decoding))
        elif self._needs_halo:
            yield from self._decode_classes()
        for files in (self._maps, self._seeds):
            shutil.rmtree(files.folder, ignore_errors=True)

    def number(self) -> Numbering | None:
        """Return the final numbers of the instances; None for classes."""
        if self._way.decoder is None:
            return None
        area = np.zeros(1, np.int64)
        for block in self.blocks:
            counts = np.bincount(self._labels.read(block).ravel(), minlength=len(area))
            counts[: len(area)] += area
            area = counts
        min_area_px = self._way.decoder(**self._bundle.decoding).min_area_px
        kept = area >= max(1, min_area_px)
        kept[0] = False
        table = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
        return Numbering(dict.fromkeys(self.blocks, table), int(kept.sum()))

    def labels(self, window: Window, numbering: Numbering | None) -> np.ndarray:
        """Return the labels of a window: classes, or instances as numbered."""
        if numbering is None:
            return self._labels.read_window(window)
        return self._labels.read_window(window, numbering.apply)

    def num_unsure(self, numbering: Numbering | None) -> int:
        """Return about how many instances may differ from those of the whole plane.

        A block in which pixels were lost counts as one, since it does not know whose they are.
        """
        if numbering is None:
            return 0
        seen: set[int] = set()
        num_losses = 0
        for block in self.blocks:
            unsure = self._unsure.read(block)
            seen.update(numbering.apply(block, unsure).tolist())
            num_losses += 0 in unsure
        return min(len(seen - {0}) + num_losses, numbering.num_components)

    @property
    def _intensities_file(self) -> Path:
        return self._folder / "intensities.json"

    @property
    def _needs_halo(self) -> bool:
        return self._bundle.encoding != "classes"

    def _is_predicted(self, block: Block) -> bool:
        return self._labels.has(block) or (self._needs_halo and self._maps.has(block))

    def _load(self, origin: tuple[int, ...], size: tuple[int, int], predictor: Predictor) -> Any:
        """Read what the tiles of a block see; return what gives out parts of it."""
        found = json.loads(self._intensities_file.read_bytes())
        channels = list(found["channels"])
        statistics = Statistics(tuple(found["mean"]), tuple(found["std"]))
        tiles = plan_tiles(size, predictor.geometry, predictor.max_input)
        seen = tuple(slice(tiles[0].read[axis].start, tiles[-1].read[axis].stop) for axis in (0, 1))
        rows, columns = (
            mirror_indices(start + side.start, start + side.stop, length)
            for start, side, length in zip(origin, seen, self._volume.size, strict=True)
        )
        top, left = rows.min(), columns.min()
        pixels = self._volume.read(
            self.plane, slice(top, rows.max() + 1), slice(left, columns.max() + 1)
        )
        normalized = self._bundle.normalization.apply(pixels[channels], statistics)
        mirrored = normalized[:, (rows - top)[:, None], columns - left]

        def read(window: Window) -> np.ndarray:
            rows, columns = within(window, (seen[0], seen[1]))
            return np.ascontiguousarray(mirrored[:, rows, columns])

        return read

    def _decode(self, maps: np.ndarray) -> np.ndarray:
        return self._way.decode(self._way.refine(maps), **self._bundle.decoding)

    def _name_classes(self, classes: np.ndarray) -> np.ndarray:
        values = np.array(self._bundle.class_values)
        return values.astype(np.min_scalar_type(values.max()))[classes]

    def _decode_classes(self) -> Iterator[int]:
        for block in self.blocks:
            if not self._labels.has(block):
                window = self.blocks.window(block)
                crop = self.blocks.grown(window, self._halo_px)
                classes = self._decode(self._maps.read_window(crop))
                self._labels.write(block, self._name_classes(classes[within(window, crop)]))
            yield 1

    def _decode_instances(self, decoder: SeedDecoder) -> Iterator[int]:
        for block in self.blocks:
            if not self._seeds.has(block):
                ground = self._landscape(decoder, self.blocks.window(block))
                self._seeds.write(block, ndimage.label(ground.seeds)[0].astype(np.int32))
            yield 1
        numbering = number_components(self._seeds, decoder.min_seed_px)
        for block in self.blocks:
            if not self._labels.has(block):
                labels, unsure = self._grow(decoder, self.blocks.window(block), numbering)
                self._unsure.write(block, unsure)
                self._labels.write(block, labels)
            yield 1

    def _landscape(self, decoder: SeedDecoder, window: Window) -> Landscape:
        seen = self.blocks.grown(window, decoder.reach_px)
        ground = decoder.landscape(self._maps.read_window(seen))
        return Landscape(*(part[within(window, seen)] for part in ground))

    def _grow(
        self, decoder: SeedDecoder, window: Window, numbering: Numbering
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the (y, x) int32 instances of a block, and the numbers of those not certain.

        Among these is 0 where pixels are lost to instances that begin beyond the halo.
        """
        near = self.blocks.grown(window, decoder.reach_px)
        crop = self.blocks.grown(window, max(self._halo_px, decoder.reach_px))
        ground = self._landscape(decoder, crop)
        seeds = self._seeds.read_window(crop, numbering.apply)
        outside = numbering.num_components + 1
        with_outside = self._with_outside(seeds, ground.within, crop, outside)
        grown = flood(with_outside, ground.height, within=ground.within)[within(near, crop)]
        lost = grown == outside
        unsure = np.empty(0, np.int32)
        if lost.any():
            grown = flood(seeds, ground.height, within=ground.within)[within(near, crop)]
            unsure = np.unique(grown[lost])
        return decoder.finish(grown)[within(window, near)], unsure

    def _with_outside(
        self, seeds: np.ndarray, free: np.ndarray, crop: Window, outside: int
    ) -> np.ndarray:
        """Add a seed where something that is not seen could flood in over the edge of the crop.

        What may come in there comes no lower than the edge is and no sooner, so every pixel that
        this seed does not take is certain.
        """
        seeds = seeds.copy()
        for axis, (side, length) in enumerate(zip(crop, self.blocks.size, strict=True)):
            for is_cut, index in ((side.start > 0, 0), (side.stop < length, -1)):
                if is_cut:
                    edge = (slice(None),) * axis + (index,)
                    seeds[edge] = np.where(free[edge] & (seeds[edge] == 0), outside, seeds[edge])
        return seeds


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _strips(size: tuple[int, int]) -> Iterator[Window]:
    """Cut a plane into wide windows, which suit files that are stored by rows."""
    height, width = size
    for top in range(0, height, _READ_PX[0]):
        for left in range(0, width, _READ_PX[1]):
            yield (
                slice(top, min(top + _READ_PX[0], height)),
                slice(left, min(left + _READ_PX[1], width)),
            )
