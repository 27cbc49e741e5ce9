"""Images larger than memory: a plane is predicted and decoded block by block.

All that is computed lies in files, one per block, which are wholly there or not at all. So a run
that was killed goes on where it was: what is there is not computed again.
"""

import json
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from ulens.bundle import ModelBundle
from ulens.encodings.seeds import Landscape, SeedDecoder
from ulens.encodings.table import ENCODINGS, decode_maps, in_pixels
from ulens.io.atomic import write_array, write_file
from ulens.io.label_volumes import ZarrLabels
from ulens.io.regions import Plane, Volume
from ulens.labels.flood import flood
from ulens.normalize import Moments, Statistics, check_channels, measure_moments
from ulens.predict.large.blocks import Block, BlockFiles, Blocks, Window, within
from ulens.predict.large.stitching import number_components
from ulens.predict.predictor import Predictor
from ulens.predict.tiles import mirror_indices, plan_tiles
from ulens.resample import AS_IT_IS, Zoom, inverse, resample, size_at, window_needed

Stage = Literal["measure", "predict", "seed", "label", "write"]

_READ_PX = (512, 16384)
_OUTSIDE = np.iinfo(np.int32).max


class PlaneWork:
    """A plane of a large image at work.

    Parameters
    ----------
    volume, plane : what is segmented
    bundle : the model
    folder : for the files of all blocks; what it holds already is taken as done
    blocks : of the plane, their side a multiple of the network's alignment
    halo_px : how far a block's decoding sees beyond it
    factor : as in `decode_maps`
    output : where the final labels are written block by block; None where something else does it

    Notes
    -----
    The work comes in `stages`, one after the other. The `parts` of a stage are independent of each
    other: `do` them in any order, in any process that sees the folder. When all are done, `finish`
    the stage, in one process.

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
        factor: Zoom = AS_IT_IS,
        output: ZarrLabels | None = None,
    ) -> None:
        self.blocks, self.plane = blocks, plane
        self._volume, self._bundle, self._halo_px = volume, bundle, halo_px
        self._folder, self._output = folder, output
        self._factor = factor
        self._zoom = factor[0] * bundle.zoom[0], factor[1] * bundle.zoom[1]
        self._way = ENCODINGS[bundle.encoding]
        self._maps, self._seeds, self._numbers, self._labels, self._unsure, self._written = (
            BlockFiles(folder / name, blocks)
            for name in ("maps", "seeds", "numbers", "labels", "unsure", "written")
        )
        self._moments = BlockFiles(folder / "moments", blocks)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is to be done, in this order."""
        stages: list[Stage] = ["measure", "predict"]
        if self._way.decoder is not None:
            stages.append("seed")
        if self._needs_halo:
            stages.append("label")
        if self._output is not None:
            stages.append("write")
        return tuple(stages)

    def parts(self, stage: Stage) -> list[Block]:
        """Return the parts of a stage: blocks, or strips of the plane for what only reads it."""
        return list(_strips(self._volume.size) if stage == "measure" else self.blocks)

    def is_done(self, stage: Stage, part: Block) -> bool:
        """Whether the file of a part is there, or what is made of it."""
        if stage == "measure":
            return self._intensities_file.is_file() or self._moments.has(part)
        if stage == "write":
            return self._written.has(part)
        files = {"predict": self._maps, "seed": self._seeds}.get(stage, self._labels)
        return any(each.has(part) for each in (files, self._labels, self._written))

    def num_steps(self, stage: Stage, part: Block, predictor: Predictor) -> int:
        """Return the sum of what `do` yields."""
        if stage == "predict":
            seen = self._network_window(self.blocks.window(part), predictor)
            return predictor.num_tiles(_size(seen))
        return 0 if stage == "measure" else 1

    def do(self, stage: Stage, part: Block, predictor: Predictor) -> Iterator[int]:
        """Do a part; yield how many steps more are done.

        Raises
        ------
        DataError : pixels are NaN or infinite
        OutputError : the disk is full
        """
        if stage == "predict":
            yield from self._predict(part, predictor)
            return
        do = {
            "measure": self._measure, "seed": self._seed, "label": self._label, "write": self._write
        }[stage]  # fmt: skip
        do(part)
        yield self.num_steps(stage, part, predictor)

    def finish(self, stage: Stage) -> None:
        """Put together what the parts of a stage found.

        Raises
        ------
        ShapeError : the image has not the channels that the network was trained on
        """
        if stage == "measure":
            self._find_intensities()
        elif stage == "seed":
            self._number_seeds()
        elif stage == "label":
            self._number_instances()
        if all(self._labels.has(block) for block in self.blocks):
            for files in (self._maps, self._seeds, self._numbers):
                shutil.rmtree(files.folder, ignore_errors=True)
        if stage == "write":
            shutil.rmtree(self._labels.folder, ignore_errors=True)

    @property
    def num_objects(self) -> int | None:
        """How many instances there are, once they are labelled; None for classes."""
        return int(self._table().max()) if self._way.decoder is not None else None

    def labels(self, window: Window) -> np.ndarray:
        """Return the final labels of a window: classes, or instances by number.

        They are there until `finish` of the stage "write", which leaves them in the output.
        """
        if self._way.decoder is None:
            return self._labels.read_window(window)
        table = self._table()
        return self._labels.read_window(window, lambda block, labels: table[labels])

    @property
    def num_unsure(self) -> int:
        """About how many instances may differ from those of the whole plane.

        A block in which pixels were lost counts as one, since it does not know whose they are.
        """
        if self.num_objects is None:
            return 0
        table = self._table()
        seen: set[int] = set()
        num_losses = 0
        for block in self.blocks:
            unsure = self._unsure.read(block)
            seen.update(table[unsure].tolist())
            num_losses += 0 in unsure
        return min(len(seen - {0}) + num_losses, self.num_objects)

    @property
    def _intensities_file(self) -> Path:
        return self._folder / "intensities.json"

    @property
    def _table_file(self) -> Path:
        return self._folder / "table.npy"

    def _table(self) -> np.ndarray:
        """The final number of each instance, by that of its seed."""
        return np.load(self._table_file, mmap_mode="r", allow_pickle=False)

    @property
    def _needs_halo(self) -> bool:
        return not ENCODINGS[self._bundle.encoding].pixel_by_pixel

    def _measure(self, strip: Block) -> None:
        pixels = self._volume.read(self.plane, *_strip_window(strip, self._volume.size))
        is_grey = bool((pixels == pixels[:1]).all())
        count, mean, squares = measure_moments(pixels)
        rows = [np.full(len(mean), count), mean, squares, np.full(len(mean), is_grey)]
        self._moments.write(strip, np.array(rows, np.float64))

    def _find_intensities(self) -> None:
        if self._intensities_file.is_file():
            return
        num_needed, num_channels = self._bundle.net.in_channels, self._volume.num_channels
        is_grey = num_needed == 1 and num_channels == 3  # until a pixel says otherwise
        moments = Moments()
        for strip in _strips(self._volume.size):
            count, mean, squares, seems_grey = np.asarray(self._moments.read(strip))
            is_grey = is_grey and bool(seems_grey.all())
            moments.join(int(count[0]), mean, squares)
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
        write_file(self._intensities_file, json.dumps(found).encode())
        shutil.rmtree(self._moments.folder)

    def _predict(self, block: Block, predictor: Predictor) -> Iterator[int]:
        window = self.blocks.window(block)
        seen = self._network_window(window, predictor)
        size = _size(seen)
        maps = np.empty((self._bundle.net.num_classes, *size), np.float32)
        for write, part in predictor.stream_block(self._load(seen, predictor), size):
            maps[:, *write] = part
            yield 1
        maps = self._on_image(maps, seen, window)
        if self._needs_halo:
            self._maps.write(block, maps)
        else:
            self._labels.write(block, self._classes(maps))

    def _seed(self, block: Block) -> None:
        ground = self._landscape(self._decoder, self.blocks.window(block))
        self._seeds.write(block, ndimage.label(ground.seeds)[0].astype(np.int32))

    def _number_seeds(self) -> None:
        if self._table_file.is_file() or all(map(self._labels.has, self.blocks)):
            return
        numbers = number_components(self._seeds, self._decoder.min_seed_px)
        for block, table in numbers.items():
            self._numbers.write(block, table)

    def _label(self, block: Block) -> None:
        window = self.blocks.window(block)
        if self._way.decoder is not None:
            labels, unsure = self._grow(self._decoder, window)
            self._unsure.write(block, unsure)
            self._labels.write(block, labels)
            return
        crop = self.blocks.grown(window, self._halo_px)
        classes = self._classes(self._maps.read_window(crop))
        self._labels.write(block, classes[within(window, crop)])

    def _number_instances(self) -> None:
        """Number the instances that are large enough, in the order of their seeds."""
        if self._way.decoder is None or self._table_file.is_file():
            return
        area = np.zeros(1, np.int64)
        for block in self.blocks:
            counts = np.bincount(self._labels.read(block).ravel(), minlength=len(area))
            counts[: len(area)] += area
            area = counts
        kept = area >= max(1, self._decoder.min_area_px)
        kept[0] = False
        write_array(self._table_file, np.where(kept, np.cumsum(kept), 0).astype(np.uint32))

    def _write(self, block: Block) -> None:
        assert self._output is not None
        window = self.blocks.window(block)
        self._output.write(self.plane, window, self.labels(window))
        self._written.write(block, np.zeros(0))

    @property
    def _decoder(self) -> SeedDecoder:
        assert self._way.decoder is not None
        return self._way.decoder(**in_pixels(self._bundle.decoding, self._factor))

    def _network_window(self, window: Window, predictor: Predictor) -> Window:
        """Return the network's pixels that the maps of a block are made of, from a valid origin."""
        whole = size_at(self._volume.size, self._zoom)
        needed = window_needed(window, whole, inverse(self._zoom))
        alignment = predictor.geometry.alignment
        rows, columns = (slice(side.start // alignment * alignment, side.stop) for side in needed)
        return rows, columns

    def _on_image(self, maps: np.ndarray, seen: Window, window: Window) -> np.ndarray:
        """Return maps of a window of the network's grid on a block of the image."""
        whole, back = size_at(self._volume.size, self._zoom), inverse(self._zoom)
        needed = within(window_needed(window, whole, back), seen)
        return resample(maps[:, *needed], back, self._volume.size, window=window, whole=whole)

    def _load(self, block: Window, predictor: Predictor) -> Any:
        """Read what the tiles of a block see; return what gives out parts of it.

        Parameters
        ----------
        block : (y, x) slices of the network's grid
        """
        found = json.loads(self._intensities_file.read_bytes())
        channels = list(found["channels"])
        statistics = Statistics(tuple(found["mean"]), tuple(found["std"]))
        tiles = plan_tiles(_size(block), predictor.geometry, predictor.max_input)
        seen = tuple(slice(tiles[0].read[axis].start, tiles[-1].read[axis].stop) for axis in (0, 1))
        zoom, size = self._zoom, self._volume.size
        rows, columns = (
            mirror_indices(own.start + side.start, own.start + side.stop, length)
            for own, side, length in zip(block, seen, size_at(size, zoom), strict=True)
        )
        top, left = rows.min(), columns.min()
        window = slice(top, rows.max() + 1), slice(left, columns.max() + 1)
        pixels = self._volume.read(self.plane, *window_needed(window, size, zoom))
        normalized = resample(
            self._bundle.normalization.apply(pixels[channels], statistics),
            zoom,
            window=window,
            whole=size,
        )
        mirrored = normalized[:, (rows - top)[:, None], columns - left]

        def read(window: Window) -> np.ndarray:
            rows, columns = within(window, (seen[0], seen[1]))
            return np.ascontiguousarray(mirrored[:, rows, columns])

        return read

    def _classes(self, maps: np.ndarray) -> np.ndarray:
        bundle = self._bundle
        _, classes = decode_maps(bundle.encoding, maps, bundle.decoding, self._factor)
        return bundle.name_classes(classes)

    def _landscape(self, decoder: SeedDecoder, window: Window) -> Landscape:
        seen = self.blocks.grown(window, decoder.reach_px)
        ground = decoder.landscape(self._maps.read_window(seen))
        return Landscape(*(part[within(window, seen)] for part in ground))

    def _grow(self, decoder: SeedDecoder, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the (y, x) int32 instances of a block, and the numbers of those not certain.

        Among these is 0 where pixels are lost to instances that begin beyond the halo.
        """
        near = self.blocks.grown(window, decoder.reach_px)
        crop = self.blocks.grown(window, max(self._halo_px, decoder.reach_px))
        ground = self._landscape(decoder, crop)
        seeds = self._seeds.read_window(
            crop, lambda block, labels: np.asarray(self._numbers.read(block))[labels]
        )
        with_outside = self._with_outside(seeds, ground.within, crop)
        grown = flood(with_outside, ground.height, within=ground.within)[within(near, crop)]
        lost = grown == _OUTSIDE
        unsure = np.empty(0, np.int32)
        if lost.any():
            grown = flood(seeds, ground.height, within=ground.within)[within(near, crop)]
            unsure = np.unique(grown[lost])
        return decoder.finish(grown)[within(window, near)], unsure

    def _with_outside(self, seeds: np.ndarray, free: np.ndarray, crop: Window) -> np.ndarray:
        """Add a seed where something that is not seen could flood in over the edge of the crop.

        What may come in there comes no lower than the edge is and no sooner, so every pixel that
        this seed does not take is certain.
        """
        seeds = seeds.copy()
        for axis, (side, length) in enumerate(zip(crop, self.blocks.size, strict=True)):
            for is_cut, index in ((side.start > 0, 0), (side.stop < length, -1)):
                if is_cut:
                    edge = (slice(None),) * axis + (index,)
                    seeds[edge] = np.where(free[edge] & (seeds[edge] == 0), _OUTSIDE, seeds[edge])
        return seeds


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _strips(size: tuple[int, int]) -> Iterator[Block]:
    """Cut a plane into wide windows, which suit files that are stored by rows."""
    rows, columns = (range(-(-length // read)) for length, read in zip(size, _READ_PX, strict=True))
    return product(rows, columns)


def _strip_window(strip: Block, size: tuple[int, int]) -> Window:
    rows, columns = (
        slice(index * read, min((index + 1) * read, length))
        for index, read, length in zip(strip, _READ_PX, size, strict=True)
    )
    return rows, columns
