"""Images larger than memory: a plane is predicted and decoded block by block.

All that is computed lies in files, one per block, which are wholly there or not at all. So a run
that was killed goes on where it was: what is there is not computed again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ulens.appearance import Objects, count_objects
from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS, decode_maps, in_pixels
from ulens.io.label_volumes import ZarrLabels
from ulens.io.regions import Plane, Volume
from ulens.predict.large.blocks import Block, Blocks, PlaneFiles, Window
from ulens.predict.large.sampled import sample_look
from ulens.predict.large.stages import Label, Measure, Predict, Seed, Stage, Write
from ulens.predict.predictor import Predictor
from ulens.predict.unlike import Unlike, find_unlike
from ulens.resample import AS_IT_IS, Zoom

StageName = Literal["measure", "predict", "seed", "label", "write"]


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
        files = PlaneFiles(folder, blocks)
        self.blocks = blocks
        self._labels, self._unsure, self._table_file = files.labels, files.unsure, files.table
        way = ENCODINGS[bundle.encoding]
        decoder = way.decoder and way.decoder(**in_pixels(bundle.decoding, factor))
        self._is_instances = decoder is not None
        zoom = factor[0] * bundle.zoom[0], factor[1] * bundle.zoom[1]
        self._bundle, self._factor, self._zoom = bundle, factor, zoom
        self._areas_file = files.areas

        def decode(maps: np.ndarray) -> np.ndarray:
            _, classes = decode_maps(bundle.encoding, maps, bundle.decoding, factor)
            return bundle.name_classes(classes)

        predict = Predict(
            files, volume, plane, bundle, zoom, decode if way.pixel_by_pixel else None
        )
        self._read, self._seen_size = predict.read, predict.whole
        self._stages: dict[StageName, Stage] = {
            "measure": Measure(files, volume, plane, bundle.net.in_channels),
            "predict": predict,
        }
        if decoder is not None:
            self._stages["seed"] = Seed(files, decoder)
        if not way.pixel_by_pixel:
            self._stages["label"] = Label(files, halo_px, decode, decoder)
        if output is not None:
            self._stages["write"] = Write(files, plane, output, self.labels)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """What is to be done, in this order."""
        return tuple(self._stages)

    def parts(self, stage: StageName) -> list[Block]:
        """Return the parts of a stage, as `Stage.parts`."""
        return self._stages[stage].parts()

    def is_done(self, stage: StageName, part: Block) -> bool:
        """Whether a part needs not be done, as `Stage.is_done`."""
        return self._stages[stage].is_done(part)

    def num_steps(self, stage: StageName, part: Block, predictor: Predictor) -> int:
        """Return the sum of what `do` yields."""
        return self._stages[stage].num_steps(part, predictor)

    def do(self, stage: StageName, part: Block, predictor: Predictor) -> Iterator[int]:
        """Do a part; yield how many steps more are done.

        Raises
        ------
        DataError : pixels are NaN or infinite
        OutputError : the disk is full
        """
        return self._stages[stage].do(part, predictor)

    def finish(self, stage: StageName) -> None:
        """Put together what the parts of a stage found.

        Raises
        ------
        ShapeError : the image has not the channels that the network was trained on
        """
        self._stages[stage].finish()

    @property
    def num_objects(self) -> int | None:
        """How many instances there are, once they are labelled; None for classes."""
        return int(self._table().max()) if self._is_instances else None

    def labels(self, window: Window) -> np.ndarray:
        """Return the final labels of a window: classes, or instances by number.

        They are there until `finish` of the stage "write", which leaves them in the output.
        """
        if not self._is_instances:
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

    def find_unlike(self, zoom: float) -> tuple[Unlike, ...]:
        """Return how the plane is unlike those of the training, once all stages are done.

        What it looks like is taken from parts of it, the size of objects from all; classes are not
        looked at.

        Parameters
        ----------
        zoom : that the user asked for
        """
        if self._bundle.familiar is None:
            return ()
        objects = Objects(0, 0.0, 0.0, is_uniform=False)
        if self._is_instances:
            area_factor = self._factor[0] * self._factor[1]
            areas = np.load(self._areas_file, allow_pickle=False) * area_factor
            num_px = self.blocks.size[0] * self.blocks.size[1] * area_factor
            objects = count_objects(areas, num_px)
        look = sample_look(self._read, self._seen_size)
        grid = self._zoom
        return find_unlike(self._bundle.familiar, look, objects, zoom=zoom, grid=grid)

    def _table(self) -> np.ndarray:
        """The final number of each instance, by that of its seed."""
        return np.load(self._table_file, mmap_mode="r", allow_pickle=False)
