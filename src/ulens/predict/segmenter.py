"""Runs a model over planes of images: its network, then the decoding of what that finds."""

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from ulens.appearance import measure_look, measure_objects
from ulens.bundle import ModelBundle
from ulens.channels import check_channels, fit_channels
from ulens.encodings.table import ENCODINGS, decode_maps
from ulens.image import Image
from ulens.io.files import planes
from ulens.predict.engine_choice import EngineChoice, choose_engine
from ulens.predict.engines import EngineName, choose_device
from ulens.predict.predictor import Average, Predictor
from ulens.predict.spacing import find_factor
from ulens.predict.tiles import Slices
from ulens.predict.uncertainty import Doubt, disagreement, entropy
from ulens.predict.unlike import Unlike, find_unlike
from ulens.resample import AS_IT_IS, Zoom, check_zoom, inverse, resample, size_at


class Found(NamedTuple):
    """What a model finds in a plane.

    Parameters
    ----------
    labels : (Y, X); for classes the smallest unsigned dtype, holding the class values of the
        training labels; for instances int32, 0 = background, then 1…N without gaps
    maps : (K, Y, X) float32 in [0, 1], what the labels come from
    unlike : how the plane, or what was found in it, is unlike those of the training
    """

    labels: np.ndarray
    maps: np.ndarray
    unlike: tuple[Unlike, ...] = ()


class Segmenter:
    """A model at work.

    Parameters
    ----------
    bundle : what training made
    device : as in `choose_device`
    average : as in `Predictor`
    engine : as in `build_engine`; None is the fastest of those that compute the same here
    zoom : times as high and wide as they are images are taken for, where their cells are of
        another size than those of the training

    Attributes
    ----------
    choice : how that was found out; None if an engine was given

    Notes
    -----
    The network sees the image at its own pixel size, resampled once. Where the pixel sizes of image
    and training images are known and differ by more than a tenth, that is part of it. The maps are
    brought back to the image in one step, too, and decoded there.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        *,
        device: str = "auto",
        average: Average = 1,
        engine: EngineName | None = None,
        zoom: float = 1.0,
    ) -> None:
        check_zoom((zoom, zoom))
        self.bundle, self.zoom = bundle, zoom
        self.choice: EngineChoice | None = None
        if engine is None:
            self.choice = choose_engine(bundle, choose_device(device))
            engine = self.choice.engine
        self._predictor = Predictor(
            bundle.net,
            activation=ENCODINGS[bundle.encoding].activation,
            device=device,
            average=average,
            engine=engine,
            int8=bundle.int8,
        )

    def find_factor(self, image: Image, name: str = "image") -> Zoom:
        """Return how much larger an image is taken for; see `find_factor`, and `zoom`."""
        y, x = find_factor(image.spacing_um, self.bundle.spacing_um, name)
        return y * self.zoom, x * self.zoom

    def check(self, image: Image, name: str) -> None:
        """Raise what `find_factor` and `stream` would raise of an image."""
        self.find_factor(image, name)
        for _, plane in planes(image):
            self._fit(plane, name)

    def num_tiles(self, size: tuple[int, ...], factor: Zoom) -> int:
        """Return how often `stream` yields for a plane of `size` (Y, X)."""
        return self._predictor.num_tiles(size_at(size, self._zoom(factor)))

    def segment(self, plane: np.ndarray, factor: Zoom = AS_IT_IS) -> Found:
        """Segment a plane; as `stream`, at once."""
        work = self.stream(plane, factor)
        while True:
            try:
                next(work)
            except StopIteration as done:
                return done.value

    def segment_part(self, plane: np.ndarray, window: Slices, reach_px: tuple[int, int]) -> Found:
        """Segment a part of a plane, for a look at it: objects are cut where it ends.

        Parameters
        ----------
        plane : (C, Y, X), whole, by which grey values are normalised
        window : (y, x) slices of the part
        reach_px : (y, x) how far around the part the network sees; beyond, it is mirrored

        Returns
        -------
        what was found in the part, in its size; not compared with the training images
        """
        size = plane.shape[1:]
        starts = [max(0, w.start - reach) for w, reach in zip(window, reach_px, strict=True)]
        stops = [min(n, w.stop + r) for n, w, r in zip(size, window, reach_px, strict=True)]
        around = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
        prepared = self.bundle.normalization.apply(self._fit(plane, "image"))[:, *around]
        maps = self._predictor.predict(prepared, self._zoom(AS_IT_IS))
        maps, labels = decode_maps(self.bundle.encoding, maps, self.bundle.decoding)
        part = tuple(
            slice(w.start - start, w.stop - start) for w, start in zip(window, starts, strict=True)
        )
        return Found(labels=self.bundle.name_classes(labels)[*part], maps=maps[:, *part])

    def stream(
        self, plane: np.ndarray, factor: Zoom = AS_IT_IS, name: str = "image"
    ) -> Generator[None, None, Found]:
        """Segment a plane, and yield after every tile; stop iterating to cancel.

        Parameters
        ----------
        plane : (C, Y, X), any real numeric dtype
        factor : of `find_factor`
        name : of the image, for errors

        Returns
        -------
        what was found, in the size of the plane

        Raises
        ------
        ShapeError : the plane is empty or has not the channels the network was trained on
        """
        prepared = self._prepare(plane, factor, name)
        maps = np.empty((self.bundle.net.num_classes, *prepared.shape[1:]), np.float32)
        for write, part in self._predictor.stream(prepared):
            maps[:, *write] = part
            yield
        return self._find(prepared, maps, plane.shape[1:], factor)

    def stream_uncertainty(
        self,
        plane: np.ndarray,
        factor: Zoom = AS_IT_IS,
        name: str = "image",
        *,
        doubt: Doubt = "entropy",
    ) -> Generator[None, None, np.ndarray]:
        """Find how unsure the network is of each pixel, and yield after every tile.

        Parameters
        ----------
        plane, factor, name : as `stream`
        doubt : the entropy of the classes, or the disagreement of eight views, which takes eight
            times as long; of a network that learned distances, which have no entropy, the latter

        Returns
        -------
        (Y, X) float32 in [0, 1] in the size of the plane; see `ulens.predict.uncertainty`

        Raises
        ------
        ShapeError : as `stream`
        """
        prepared = self._prepare(plane, factor, name)
        unsure = np.empty(prepared.shape[1:], np.float32)
        if doubt == "entropy" and ENCODINGS[self.bundle.encoding].activation == "softmax":
            for write, maps in self._predictor.stream(prepared):
                unsure[write] = entropy(maps)
                yield
        else:
            for write, views in self._predictor.stream_each_view(prepared):
                unsure[write] = disagreement(views)
                yield
        return resample(unsure[None], inverse(self._zoom(factor)), plane.shape[1:])[0]

    def _prepare(self, plane: np.ndarray, factor: Zoom, name: str) -> np.ndarray:
        """Return a plane as the network takes it."""
        normalized = self.bundle.normalization.apply(self._fit(plane, name))
        return resample(normalized, self._zoom(factor))

    def _fit(self, plane: np.ndarray, name: str) -> np.ndarray:
        """Return a plane with the channels of the network."""
        num_channels = self.bundle.net.in_channels
        plane = fit_channels(plane, num_channels)
        check_channels(plane.shape, num_channels, name)
        return plane

    def _zoom(self, factor: Zoom) -> Zoom:
        """Return the pixels of the network for each pixel of the image."""
        return factor[0] * self.bundle.zoom[0], factor[1] * self.bundle.zoom[1]

    def _find(
        self, prepared: np.ndarray, maps: np.ndarray, size: tuple[int, ...], factor: Zoom
    ) -> Found:
        maps = resample(maps, inverse(self._zoom(factor)), size)
        maps, labels = decode_maps(self.bundle.encoding, maps, self.bundle.decoding, factor)
        return Found(
            labels=self.bundle.name_classes(labels),
            maps=maps,
            unlike=self._compare(prepared, labels, factor),
        )

    def _compare(
        self, prepared: np.ndarray, labels: np.ndarray, factor: Zoom
    ) -> tuple[Unlike, ...]:
        if self.bundle.familiar is None:
            return ()
        look, objects = measure_look(prepared), measure_objects(labels, factor[0] * factor[1])
        grid = self._zoom(factor)
        return find_unlike(self.bundle.familiar, look, objects, zoom=self.zoom, grid=grid)
