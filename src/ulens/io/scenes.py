"""Files of microscopes: ND2 of Nikon, CZI of Zeiss, LIF of Leica; one of the scenes that they hold.

Each format has a file of its own, which lists the scenes and reads windows of them.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from ulens.errors import FileError
from ulens.image import Image, Steps
from ulens.io.axes import Axes, find_axes, in_standard_order
from ulens.io.need import check_image_memory, check_length
from ulens.io.reading import Reading, choose_scene

Cut = Callable[[tuple[slice | int, ...]], np.ndarray]
MICROSCOPE_SUFFIXES = (".nd2", ".czi", ".lif")
_STARTS = {
    b"\xda\xce\xbe\x0a": "ND2",
    b"ZISRAWFILE": "CZI",
    b"\x70\0\0\0": "LIF",
    b"\0\0\0\x0cjP  ": "old ND2",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """An image in a file; its pixels are read by `cut` alone.

    Parameters
    ----------
    name : empty where it has none
    letters : of its axes, as `find_axes` takes them
    shape : pixels along each
    cut : returns a window
    kind : of compression, as in `BEST_RATIO`; None where it cannot be told how much the file holds
    spacing_um, steps, channel_names : as in `Image`
    """

    name: str
    letters: str
    shape: tuple[int, ...]
    dtype: np.dtype
    cut: Cut
    kind: str | None = None
    spacing_um: tuple[float, float] | None = None
    steps: Steps = field(default_factory=Steps)
    channel_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneImage:
    """The scene that is read, with what its axes mean."""

    scene: Scene
    axes: Axes

    @property
    def spacing_um(self) -> tuple[float, float] | None:
        """(y, x) pixel size in µm, or None where the file does not say."""
        return self.scene.spacing_um

    @property
    def steps(self) -> Steps:
        """Between slices and frames."""
        return self.scene.steps

    @property
    def channel_names(self) -> tuple[str, ...]:
        """As far as the file tells."""
        return self.scene.channel_names

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed, for the user to know."""
        return self.axes.notes


def microscope_format(path: Path) -> str | None:
    """Return the format of a microscope's file, by its start; None for any other."""
    with path.open("rb") as file:
        start = file.read(16)
    return next((name for first, name in _STARTS.items() if start.startswith(first)), None)


@contextmanager
def open_scene(path: Path, reading: Reading) -> Iterator[SceneImage]:
    """Open the scene that the user asks for; no pixel is read.

    Raises
    ------
    FileError : the library for the format is not there, the file is damaged, or it holds several
        scenes and none is asked for
    SettingError : `reading` does not fit
    """
    with ExitStack() as opened:
        scenes = _list_scenes(path, opened)
        named = [(each.name, each.shape) for each in scenes]
        scene = scenes[choose_scene(named, reading.scene, path)]
        if scene.kind is not None:
            num_bytes = math.prod(scene.shape) * scene.dtype.itemsize
            check_length(path, num_bytes, path.stat().st_size, scene.kind)
        source = f"{microscope_format(path)} metadata"
        axes = find_axes(scene.letters, scene.shape, path, asked=reading.axes, source=source)
        yield SceneImage(scene=scene, axes=axes)


def read_scene(path: Path, reading: Reading) -> Image:
    """Read the scene that the user asks for.

    Raises
    ------
    UlensError : as `open_scene`; also where it takes more memory than there is
    Exception : of any kind where the file is damaged
    """
    with open_scene(path, reading) as content:
        scene, stored = content.scene, content.axes.stored
        num_channels = dict(zip(stored, scene.shape, strict=True)).get("C", 1)
        channels = reading.choose_channels(num_channels, scene.channel_names, path)
        parts = [channels.span if letter == "C" else slice(None) for letter in stored]
        shape = [len(range(n)[part]) for part, n in zip(parts, scene.shape, strict=True)]
        check_image_memory(
            path,
            shape,
            scene.dtype.itemsize,
            "choose channels, or segment it alone, with a name that ends in .zarr or .tif as out, "
            "which reads it piece by piece",
        )
        data = scene.cut(tuple(parts))
        if "C" in stored:
            data = channels.within(data, stored.index("C"))
        data, letters = in_standard_order(data, stored)
        return Image(
            data=np.ascontiguousarray(data),
            axes=letters,
            spacing_um=scene.spacing_um,
            source=path,
            steps=scene.steps,
            channel_names=channels.names(scene.channel_names),
            axes_from=content.axes.found,
            notes=(*content.notes, *channels.notes),
        )


def by_frames(
    num_outer: int,
    shape: tuple[int, ...],
    read: Callable[[tuple[int, ...], tuple[slice, ...]], np.ndarray],
) -> Cut:
    """Return the `cut` of an image that is read frame by frame.

    Parameters
    ----------
    num_outer : how many of the axes, the first ones, count frames
    shape : of the image
    read : returns a window of the frame at these places along the outer axes
    """

    def cut(where: tuple[slice | int, ...]) -> np.ndarray:
        spans = [slice(part, part + 1) if isinstance(part, int) else part for part in where]
        places = [range(n)[span] for n, span in zip(shape[:num_outer], spans, strict=False)]
        frames = [read(place, tuple(spans[num_outer:])) for place in product(*places)]
        data = np.array(frames).reshape(*map(len, places), *frames[0].shape)
        return data[tuple(0 if isinstance(part, int) else slice(None) for part in where)]

    return cut


def _list_scenes(path: Path, opened: ExitStack) -> list[Scene]:
    kind = microscope_format(path)
    try:
        if kind == "ND2":
            from ulens.io.nd2_files import open_nd2

            return opened.enter_context(open_nd2(path))
        if kind == "CZI":
            from ulens.io.czi_files import open_czi

            return opened.enter_context(open_czi(path))
        if kind == "LIF":
            from ulens.io.lif_files import open_lif

            return opened.enter_context(open_lif(path))
    except ModuleNotFoundError as error:
        raise FileError(
            f"{path} is {kind}, which takes the package {error.name}; it is not installed: "
            "pip install 'ulens[formats]'"
        ) from error
    raise FileError(
        f"{path} is an ND2 file in JPEG 2000, as NIS-Elements wrote them until about 2010, which "
        "is not read; save it anew in NIS-Elements or Fiji"
    )
