"""The stages of a plane at work, each a step from the image's pixels to the output."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Protocol

import numpy as np
from scipy import ndimage

from ulens.bundle import ModelBundle
from ulens.channels import check_channels, choose_channels, is_grey
from ulens.encodings.seeds import SeedDecoder
from ulens.io.atomic import write_array, write_file
from ulens.io.label_volumes import ZarrLabels
from ulens.io.regions import Plane, Volume
from ulens.normalize import Moments, Statistics, measure_moments
from ulens.predict.large.blocks import Block, PlaneFiles, Window, cut, window_of, within
from ulens.predict.large.growing import grow, read_landscape
from ulens.predict.large.stitching import number_components
from ulens.predict.predictor import Predictor
from ulens.predict.tiles import mirror_indices, plan_tiles
from ulens.record import read_json, read_record
from ulens.resample import Zoom, inverse, resample, size_at, window_needed

_STRIP_PX = (512, 16384)
"""Wide parts of the plane, which suit files that are stored by rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """Which channels the network takes, and their `Statistics`; kept in a file."""

    channels: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    roughness: tuple[float, ...]


class Stage(Protocol):
    """What `PlaneWork` does between two moments at which all of a plane has come equally far."""

    def parts(self) -> list[Block]:
        """Return the parts: blocks, or strips of the plane for what only reads it."""

    def is_done(self, part: Block) -> bool:
        """Whether the file of a part is there, or what is made of it."""

    def num_steps(self, part: Block, predictor: Predictor) -> int:
        """Return the sum of what `do` yields."""

    def do(self, part: Block, predictor: Predictor) -> Iterator[int]:
        """Do a part; yield how many steps more are done."""

    def finish(self) -> None:
        """Put together what the parts found."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Find the statistics of the whole plane, by which it is normalised."""

    files: PlaneFiles
    volume: Volume
    plane: Plane
    num_needed: int  # channels that the network takes

    def parts(self) -> list[Block]:
        return list(cut(self.volume.size, _STRIP_PX))

    def is_done(self, part: Block) -> bool:
        return self.files.statistics.is_file() or self.files.strips.has(part)

    def num_steps(self, part: Block, predictor: Predictor) -> int:
        return 0

    def do(self, part: Block, predictor: Predictor) -> Iterator[int]:
        window = window_of(part, self.volume.size, _STRIP_PX)
        pixels = self.volume.read(self.plane, *window)
        seems_grey = np.full(len(pixels), is_grey(pixels))
        self.files.strips.write(part, np.vstack([measure_moments(pixels).to_rows(), seems_grey]))
        yield 0

    def finish(self) -> None:
        if self.files.statistics.is_file():
            return
        strips = [np.asarray(self.files.strips.read(part)) for part in self.parts()]
        are_grey = all(rows[-1].all() for rows in strips)
        each = (Moments.from_rows(rows[:-1]) for rows in strips)
        statistics = reduce(Moments.join, each).statistics()
        channels = choose_channels(self.volume.num_channels, self.num_needed, is_grey=are_grey)
        check_channels((len(channels), *self.volume.size), self.num_needed, str(self.volume.path))
        chosen = {
            name: tuple(values[channel] for channel in channels)
            for name, values in statistics._asdict().items()
        }
        found = _Found(channels=tuple(channels), **chosen)
        write_file(self.files.statistics, json.dumps(asdict(found)).encode())
        shutil.rmtree(self.files.strips.folder)


@dataclass(frozen=True, slots=True)
class Predict:
    """Run the network, and decode what is decoded pixel by pixel.

    Any tile whose origin is a multiple of the alignment gives the outputs of the whole image, so
    blocks are predicted each by itself, with nothing at their borders to be mended.
    """

    files: PlaneFiles
    volume: Volume
    plane: Plane
    bundle: ModelBundle
    zoom: Zoom  # from the image to the network's grid
    decode: Callable[[np.ndarray], np.ndarray] | None  # maps to labels; None keeps the maps

    def parts(self) -> list[Block]:
        return list(self.files.blocks)

    def is_done(self, part: Block) -> bool:
        return self.files.has(self.files.maps, part)

    def num_steps(self, part: Block, predictor: Predictor) -> int:
        return predictor.num_tiles(_size(self._window_seen(part, predictor)))

    def do(self, part: Block, predictor: Predictor) -> Iterator[int]:
        seen = self._window_seen(part, predictor)
        size = _size(seen)
        maps = np.empty((self.bundle.net.num_classes, *size), np.float32)
        for write, piece in predictor.stream_block(self._load(seen, predictor), size):
            maps[:, *write] = piece
            yield 1
        window, back = self.files.blocks.window(part), inverse(self.zoom)
        needed = within(window_needed(window, self.whole, back), seen)
        maps = resample(maps[:, *needed], back, self.volume.size, window=window, whole=self.whole)
        if self.decode is None:
            self.files.maps.write(part, maps)
        else:
            self.files.labels.write(part, self.decode(maps))

    def finish(self) -> None:
        pass

    def read(self, window: Window) -> np.ndarray:
        """Return the normalised pixels of a window of the network's grid, within the plane."""
        kept = self.files.statistics
        found = read_record(_Found, read_json(kept.read_bytes(), kept.name), "statistics")
        statistics = Statistics(found.mean, found.std, found.roughness)
        size = self.volume.size
        pixels = self.volume.read(self.plane, *window_needed(window, size, self.zoom))
        normalized = self.bundle.normalization.apply(pixels[list(found.channels)], statistics)
        return resample(normalized, self.zoom, window=window, whole=size)

    @property
    def whole(self) -> tuple[int, int]:
        """Size of the plane on the network's grid."""
        return size_at(self.volume.size, self.zoom)

    def _window_seen(self, part: Block, predictor: Predictor) -> Window:
        """Return the network's pixels that the maps of a block are made of, from a valid origin."""
        needed = window_needed(self.files.blocks.window(part), self.whole, inverse(self.zoom))
        alignment = predictor.geometry.alignment
        rows, columns = (slice(side.start // alignment * alignment, side.stop) for side in needed)
        return rows, columns

    def _load(self, block: Window, predictor: Predictor) -> Callable[[Window], np.ndarray]:
        """Read what the tiles of a block see; return what gives out parts of it.

        Parameters
        ----------
        block : (y, x) slices of the network's grid
        """
        tiles = plan_tiles(_size(block), predictor.geometry, predictor.max_input)
        seen = tuple(slice(tiles[0].read[axis].start, tiles[-1].read[axis].stop) for axis in (0, 1))
        rows, columns = (
            mirror_indices(own.start + side.start, own.start + side.stop, length)
            for own, side, length in zip(block, seen, self.whole, strict=True)
        )
        top, left = rows.min(), columns.min()
        window = slice(top, rows.max() + 1), slice(left, columns.max() + 1)
        normalized = self.read(window)
        mirrored = normalized[:, (rows - top)[:, None], columns - left]

        def read(window: Window) -> np.ndarray:
            rows, columns = within(window, (seen[0], seen[1]))
            return np.ascontiguousarray(mirrored[:, rows, columns])

        return read


@dataclass(frozen=True, slots=True)
class _ByBlock:
    """A stage of one step for each block."""

    files: PlaneFiles

    def parts(self) -> list[Block]:
        return list(self.files.blocks)

    def num_steps(self, part: Block, predictor: Predictor) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Seed(_ByBlock):
    """Find where instances begin: one number for each seed, however many blocks it lies in."""

    decoder: SeedDecoder

    def is_done(self, part: Block) -> bool:
        return self.files.has(self.files.seeds, part)

    def do(self, part: Block, predictor: Predictor) -> Iterator[int]:
        ground = read_landscape(self.decoder, self.files, self.files.blocks.window(part))
        self.files.seeds.write(part, ndimage.label(ground.seeds)[0].astype(np.int32))
        yield 1

    def finish(self) -> None:
        files = self.files
        if files.table.is_file() or all(map(files.labels.has, files.blocks)):
            return
        for block, numbers in number_components(files.seeds, self.decoder.min_seed_px).items():
            files.numbers.write(block, numbers)


@dataclass(frozen=True, slots=True)
class Label(_ByBlock):
    """Decode what needs to see beyond its block."""

    halo_px: int
    decode: Callable[[np.ndarray], np.ndarray]  # maps to classes
    decoder: SeedDecoder | None  # of instances; None for classes

    def is_done(self, part: Block) -> bool:
        return self.files.has(self.files.labels, part)

    def do(self, part: Block, predictor: Predictor) -> Iterator[int]:
        files, window = self.files, self.files.blocks.window(part)
        if self.decoder is None:
            crop = files.blocks.grown(window, self.halo_px)
            labels = self.decode(files.maps.read_window(crop))[within(window, crop)]
        else:
            labels, unsure = grow(self.decoder, files, window, self.halo_px)
            files.unsure.write(part, unsure)
        files.labels.write(part, labels)
        yield 1

    def finish(self) -> None:
        if self.decoder is not None and not self.files.table.is_file():
            table, areas = self._number(self.decoder.min_area_px)
            write_array(self.files.areas, areas)
            write_array(self.files.table, table)
        for files in (self.files.maps, self.files.seeds, self.files.numbers):
            shutil.rmtree(files.folder, ignore_errors=True)

    def _number(self, min_area_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Number the instances that are large enough, in the order of their seeds; and measure."""
        area = np.zeros(1, np.int64)
        for block in self.files.blocks:
            counts = np.bincount(self.files.labels.read(block).ravel(), minlength=len(area))
            counts[: len(area)] += area
            area = counts
        kept = area >= max(1, min_area_px)
        kept[0] = False
        return np.where(kept, np.cumsum(kept), 0).astype(np.uint32), area[kept]


@dataclass(frozen=True, slots=True)
class Write(_ByBlock):
    """Write the labels to the output."""

    plane: Plane
    output: ZarrLabels
    labels: Callable[[Window], np.ndarray]

    def is_done(self, part: Block) -> bool:
        return self.files.written.has(part)

    def do(self, part: Block, predictor: Predictor) -> Iterator[int]:
        window = self.files.blocks.window(part)
        self.output.write(self.plane, window, self.labels(window))
        self.files.written.write(part, np.zeros(0))
        yield 1

    def finish(self) -> None:
        shutil.rmtree(self.files.labels.folder, ignore_errors=True)


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start
