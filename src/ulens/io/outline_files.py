"""Outlines as ImageJ stores them: ROIs, and zips of them."""

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from ulens.errors import FileError, LabelError, OutputError
from ulens.io.need import check_memory, in_bytes
from ulens.labels.outlines import Rings

# ImageJ keeps coordinates in 16 bits, of which it takes the highest for negative numbers.
_LARGEST_COORDINATE = 60535
_POLYGONS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
_MOVE, _LINE, _QUADRATIC, _CUBIC, _CLOSE = range(5)  # java.awt.geom.PathIterator
_CURVE_POINTS = 16
_NO_OBJECTS = b"ulens: no objects"
_LARGEST_ROI_BYTES, _FREE_BYTES, _MOST_RATIO, _ROI_COPIES = 2**24, 2**26, 20, 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """One object of a file.

    Parameters
    ----------
    name : as the file has it
    polygons : each with its holes; all rings together are filled by the even-odd rule
    t, z : frame and slice from 0, or None where the file does not say
    page : number in a stack of one axis from 0, or None
    classification : what kind of object it is, or None
    """

    name: str
    polygons: list[Rings]
    t: int | None = None
    z: int | None = None
    page: int | None = None
    classification: str | None = None


def read_imagej(path: Path) -> list[Outline]:
    """Read a ``.roi`` file or a zip of them.

    Raises
    ------
    LabelError : a ROI that has no area, such as a line; a zip without any, unless `encode_imagej`
        made it of no objects
    Exception : of any kind where the file is damaged
    """
    entries, is_meant = _entries(path)
    if not entries and not is_meant:
        _refuse_geojson(path)
        raise LabelError(
            f"{path} holds no outline (no file in it ends in .roi); save all ROIs of ImageJ's ROI "
            "Manager (More > Save), or, where the image shows no object, give an empty label image"
        )
    return [_from_roi(ImagejRoi.frombytes(data), stem, path) for stem, data in entries]


def encode_imagej(outlines: Iterable[Outline], path: Path) -> bytes:
    """Return a zip of traced and composite ROIs; `path` stands in the error.

    Raises
    ------
    OutputError : coordinates are too large for ImageJ
    """
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for outline in outlines:
            place = "".join(f"{a}{n:03d}_" for a, n in plane_of(outline).items())
            entry = zipfile.ZipInfo(f"{place}{outline.name}.roi")
            archive.writestr(entry, _to_roi(outline, path).tobytes(), zipfile.ZIP_DEFLATED)
        if not archive.namelist():
            archive.comment = _NO_OBJECTS
    return packed.getvalue()


def _entries(path: Path) -> tuple[list[tuple[str, bytes]], bool]:
    """Return the name and the content of each ROI, and whether having none is meant."""
    if path.suffix.lower() == ".roi":
        return [(path.stem, path.read_bytes())], False
    with zipfile.ZipFile(path) as archive:
        named = [(Path(info.filename), info) for info in archive.infolist()]
        chosen = [
            (name.stem, info)
            for name, info in named
            # macOS puts files of its own, ._name, into zips
            if name.suffix.lower() == ".roi" and not name.name.startswith(".")
        ]
        _check_sizes([info for _, info in chosen], path)
        # read() ends where the entry says that it does
        entries = [(stem, archive.read(info)) for stem, info in chosen]
        return entries, archive.comment == _NO_OBJECTS


def _refuse_geojson(path: Path) -> None:
    """Raise LabelError where QuPath packed its GeoJSON into the zip."""
    with zipfile.ZipFile(path) as archive:
        packed = [
            name for name in archive.namelist() if name.lower().endswith((".geojson", ".json"))
        ]
    if packed:
        raise LabelError(
            f"{path} holds {packed[0]}, as QuPath compresses it, and no ROI of ImageJ; unpack it "
            "and give the file in it"
        )


def _check_sizes(infos: list[zipfile.ZipInfo], path: Path) -> None:
    """Raise FileError where a small zip unpacks to a large number of bytes, or a ROI to many."""
    total, size = sum(info.file_size for info in infos), path.stat().st_size
    largest = max((info.file_size for info in infos), default=0)
    packed = sum(info.compress_size for info in infos)
    if packed > size or largest > _LARGEST_ROI_BYTES or total > _FREE_BYTES + _MOST_RATIO * size:
        raise FileError(
            f"{path} of {in_bytes(size)} unpacks to {in_bytes(total)} of ROIs, the largest of "
            f"{in_bytes(largest)}; outlines never do: save them again in ImageJ"
        )
    check_memory(f"{path} with {len(infos):,} ROIs", _ROI_COPIES * total, "divide it")


def _from_roi(roi: ImagejRoi, stem: str, path: Path) -> Outline:
    return Outline(
        name=roi.name or stem,
        polygons=_roi_polygons(roi, roi.name or stem, path),
        t=roi.t_position - 1 if roi.t_position > 0 else None,
        z=roi.z_position - 1 if roi.z_position > 0 else None,
        page=roi.position - 1 if roi.position > 0 else None,
    )


def _roi_polygons(roi: ImagejRoi, name: str, path: Path) -> list[Rings]:
    if roi.options & ROI_OPTIONS.SPLINE_FIT:
        raise LabelError(
            f"{path}: {name!r} is a spline, of which the file holds the knots only; turn it into "
            "a polygon in ImageJ (Edit > Selection > Interpolate) and save it again"
        )
    has_area = roi.subtype not in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE)
    if has_area and roi.roitype in _POLYGONS:
        return [[np.asarray(roi.coordinates(), np.float64)]]
    if has_area and roi.composite:
        assert roi.multi_coordinates is not None
        return [_path_rings(roi.multi_coordinates.tolist())]
    if has_area and roi.roitype == ROI_TYPE.OVAL:
        return rounded_rectangle(_box(roi), arc=np.inf)
    if has_area and roi.roitype == ROI_TYPE.RECT:
        return rounded_rectangle(_box(roi), arc=roi.rounded_rect_arc_size)
    raise no_area(path, name, roi.roitype.name.lower())


def no_area(path: Path, name: str, kind: str) -> LabelError:
    """Return the error of an object without area."""
    return LabelError(
        f"{path}: {name!r} is a {kind}, which has no area; objects must be polygons, freehand "
        "outlines, rectangles, ovals or composites; delete it from the file"
    )


def _box(roi: ImagejRoi) -> tuple[float, float, float, float]:
    """Return x, y, width and height: in whole pixels, as ImageJ fills also what lies between."""
    return roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top


def rounded_rectangle(box: tuple[float, float, float, float], arc: float) -> list[Rings]:
    """Return a rectangle whose corners are ellipses of diameter `arc`, at most its sides.

    The box is x, y, width and height. Where it is round its pixels are chosen as ImageJ does: those
    whose centers lie inside.
    """
    x, y, width, height = box
    if arc <= 0:
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        return [[np.array(corners, np.float64)]]
    if not (0 <= width <= _LARGEST_COORDINATE and 0 <= height <= _LARGEST_COORDINATE):
        raise LabelError(
            f"an oval or rounded rectangle of {width:g}×{height:g} pixels is too large; turn it "
            "into a polygon in ImageJ, or draw it again"
        )
    if width == 0 or height == 0:
        return []
    start = np.floor((x, y))
    centers_x = np.arange(start[0], np.ceil(x + width)) + 0.5 - (x + width / 2)
    centers_y = np.arange(start[1], np.ceil(y + height)) + 0.5 - (y + height / 2)
    across, down = _beyond(centers_x, width, arc) ** 2, _beyond(centers_y, height, arc) ** 2
    middle = int(np.argmin(across))
    right = middle + _count_inside(across[middle:], down)
    left = middle + 1 - _count_inside(across[middle::-1], down)
    rows = np.flatnonzero(left < right)
    return [[_staircase(left[rows], right[rows], rows) + start]] if rows.size else []


def _count_inside(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return for each row how many columns from the middle outwards lie inside."""
    low, high = np.zeros(len(down), np.int64), np.full(len(down), len(across))
    while (is_open := low < high).any():
        tried = np.minimum((low + high) // 2, len(across) - 1)
        inside = down + across[tried] <= 1
        low = np.where(is_open & inside, tried + 1, low)
        high = np.where(is_open & ~inside, tried, high)
    return low


def _staircase(left: np.ndarray, right: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the clockwise outline of rows of pixels that follow each other."""
    edges = np.column_stack([rows, rows + 1]).ravel()
    corners_x = np.concatenate([np.repeat(right, 2), np.repeat(left, 2)[::-1]])
    corners_y = np.concatenate([edges, edges[::-1]])
    is_straight = (corners_x == np.roll(corners_x, 1)) & (corners_x == np.roll(corners_x, -1))
    return np.column_stack([corners_x, corners_y])[~is_straight].astype(np.float64)


def _beyond(offsets: np.ndarray, length: float, arc: float) -> np.ndarray:
    """Return how far offsets from the middle reach into the round ends, 1 = to their end."""
    diameter = min(arc, length)
    return np.maximum(np.abs(offsets) - (length - diameter) / 2, 0) / (diameter / 2)


def _path_rings(path: list[float]) -> Rings:
    """Return the rings of a composite, its curves as many short lines."""
    rings: list[list[np.ndarray]] = []
    place = 0
    while place < len(path):
        kind = int(path[place])
        num_points = {_MOVE: 1, _LINE: 1, _QUADRATIC: 2, _CUBIC: 3, _CLOSE: 0}[kind]
        end = place + 1 + 2 * num_points
        points = np.array(path[place + 1 : end], np.float64).reshape(num_points, 2)
        if kind == _MOVE:
            rings.append([points[0]])
        elif kind != _CLOSE:
            rings[-1].extend(_curve(np.vstack([rings[-1][-1], points])))
        place = end
    return [np.array(ring) for ring in rings]


def _curve(points: np.ndarray) -> np.ndarray:
    """Return (N, 2) points of the Bézier curve of the given control points, without the first."""
    if len(points) == 2:
        return points[1:]
    share = np.linspace(0, 1, _CURVE_POINTS + 1)[1:, None, None]
    points = np.broadcast_to(points, (_CURVE_POINTS, *points.shape))
    while points.shape[1] > 1:
        points = (1 - share) * points[:, :-1] + share * points[:, 1:]
    return points[:, 0]


def _to_roi(outline: Outline, path: Path) -> ImagejRoi:
    rings = [ring for polygon in outline.polygons for ring in polygon]
    corners = np.concatenate(rings).astype(np.int64)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if max(right, bottom) > _LARGEST_COORDINATE:
        raise OutputError(
            f"{path} cannot hold object {outline.name}, which reaches to x {right}, y {bottom}; "
            f"ImageJ ROIs end at {_LARGEST_COORDINATE}; write GeoJSON"
        )
    roi = ImagejRoi()
    roi.name, roi.left, roi.top, roi.right, roi.bottom = outline.name, left, top, right, bottom
    roi.t_position = 0 if outline.t is None else outline.t + 1
    roi.z_position = 0 if outline.z is None else outline.z + 1
    roi.options = ROI_OPTIONS.OVERLAY_BACKGROUNDS | ROI_OPTIONS.OVERLAY_LABELS
    if len(rings) == 1:
        roi.roitype, roi.n_coordinates = ROI_TYPE.TRACED, len(corners)
        roi.integer_coordinates = (corners - (left, top)).astype(np.int32)
        return roi
    steps = [step for ring in rings for step in _path(ring)]
    roi.roitype, roi.shape_roi_size = ROI_TYPE.RECT, len(steps)
    roi.multi_coordinates = np.array(steps, np.float32)
    return roi


def _path(ring: np.ndarray) -> Iterator[float]:
    for number, (x, y) in enumerate(ring.tolist()):
        yield from (_LINE if number else _MOVE, x, y)
    yield _CLOSE


def plane_of(outline: Outline) -> dict[str, int]:
    """Return frame and slice by their letters, as far as they are known."""
    both = {"t": outline.t, "z": outline.z}
    return {letter: number for letter, number in both.items() if number is not None}
