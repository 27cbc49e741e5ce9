"""What the segmentation of a large image is planned as, and the file that keeps a run to it."""

import hashlib
import json
import math
import os
import re
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np

from ulens.bundle import MODEL, ModelBundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import OutputError, SettingError
from ulens.io.atomic import new_name, put_in_place, write_file
from ulens.io.files import name_some
from ulens.io.label_volumes import CHUNK_PX, is_label_zarr
from ulens.io.lock import LOCK
from ulens.io.regions import Volume
from ulens.io.writable import (
    ZARR_FILES,
    check_parent,
    check_writable,
    find_foreign,
    remove_own,
)
from ulens.predict.engines import EngineName, choose_device, torch_engine
from ulens.predict.predictor import Average, Predictor
from ulens.predict.tiles import plan_tiles
from ulens.record import read_json, read_record, show
from ulens.resample import Zoom, check_zoom

JOB, OUTPUT, CREATED, COMPLETE = "job.json", "output", "created", "complete"
VERSION = 5
_PLANE = r"(plane|[tz]\d+(_z\d+)?)"
_BLOCKS = r"(strips|maps|seeds|numbers|labels|unsure|written)/\d+_\d+\.\w+"
_MADE_FROM = re.compile(
    rf"({CREATED}|{COMPLETE}|{JOB})\.new|{CREATED}|{OUTPUT}\.old(/.*)?"
    rf"|{_PLANE}/({_BLOCKS}|(statistics\.json|(table|areas)\.npy)(\.new)?)"
)
"""Paths in the folder of a job that is done, but for what tells that it is done."""

SUFFIXES = (".zarr", ".tif", ".tiff")

# Python with torch; maps of the network's width and the tile's size that are in memory at once;
# bytes per pixel that decoding takes at its peak. Measured: 0.4 GB, 4 and 100; the rest is reserve,
# also for pages of mapped files, which the system counts as memory: 20,000² took 1.52 GB in all.
_BASE_BYTES = 0.8e9
_NUM_MAPS = 7
_DECODING_BYTES = 120
_LARGEST_BLOCK_PX = 2048
_HALO_FRACTION = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeJob:
    """What every run of a job does alike, so that its parts fit together.

    Parameters
    ----------
    model, image : hashes
    average : as in `Predictor`
    factor : (y, x) by how much the image is enlarged to look as those of the training
    engine : how the network is computed
    beside_int8 : where by "openvino-int8", the rest of it
    tile_px : largest tile, in input pixels
    block_px : side of the blocks
    halo_px : how far the decoding of a block sees beyond it
    """

    model: str
    image: str
    average: Literal[1, 8]
    factor: Zoom
    engine: EngineName
    beside_int8: Literal["bf16", "fp32"]
    tile_px: int
    block_px: int
    halo_px: int

    def __post_init__(self) -> None:
        if self.average not in (1, 8):
            raise SettingError(
                f"average is {self.average!r}; images that are segmented block by block take 1 or "
                "8, since a rotated image has to be in memory as a whole"
            )
        check_zoom(self.factor)
        if self.tile_px < 1:
            raise SettingError(f"tile_px is {self.tile_px}; need 1 or more")
        if self.block_px < 16 or self.block_px % 16 or self.block_px % self.piece_px:
            raise SettingError(
                f"block_px is {self.block_px}; need a multiple of {CHUNK_PX}, or of 16 below it"
            )
        if self.halo_px < 0:
            raise SettingError(f"halo_px is {self.halo_px}; need 0 or more")

    @property
    def piece_px(self) -> int:
        """Side of the pieces in which a plane of labels is stored."""
        return min(self.block_px, CHUNK_PX)


def plan_job(
    bundle: ModelBundle,
    model: Path,
    volume: Volume,
    *,
    average: Average,
    factor: Zoom,
    engine: EngineName,
    device: str,
    memory_gb: float,
    block_px: int | None,
    halo_px: int | None,
) -> LargeJob:
    """Choose tiles and blocks by the memory that there is for them.

    Parameters
    ----------
    engine, device : how and where the network is computed
    memory_gb : what the program may take in all, in 10⁹ bytes
    block_px, halo_px : instead of what the memory gives

    Raises
    ------
    SettingError : the memory does not suffice, or a setting is out of range
    """
    free_bytes = memory_gb * 1e9 - _BASE_BYTES - _weights_bytes(bundle)
    tile_px = min(828, math.isqrt(max(0, int(free_bytes / _tile_bytes_per_px(bundle, engine)))))
    side = math.isqrt(max(0, int(free_bytes / _DECODING_BYTES)))
    fitting = int(side / (1 + 2 / _HALO_FRACTION)) // CHUNK_PX * CHUNK_PX
    if fitting < CHUNK_PX or tile_px < bundle.net.geometry.base:
        needed = _BASE_BYTES + _weights_bytes(bundle) + max(
            _DECODING_BYTES * (CHUNK_PX * (1 + 2 / _HALO_FRACTION) + 1) ** 2,
            _tile_bytes_per_px(bundle, engine) * (bundle.net.geometry.base + 1) ** 2,
        )  # fmt: skip
        raise SettingError(
            f"memory_gb is {memory_gb:g}; this model needs {math.ceil(needed / 1e8) / 10:g} or more"
        )
    chosen = block_px or min(_LARGEST_BLOCK_PX, fitting)
    job = LargeJob(
        model=hash_model(model),
        image=volume.fingerprint(),
        average=average,  # type: ignore[arg-type]  # checked there
        factor=factor,
        engine=engine,
        beside_int8=torch_engine(choose_device(device)),
        tile_px=tile_px,
        block_px=chosen,
        halo_px=chosen // _HALO_FRACTION if halo_px is None else halo_px,
    )
    alignment = bundle.net.geometry.alignment
    if job.block_px % alignment:
        raise SettingError(
            f"block_px is {job.block_px}; this network needs a multiple of {alignment}"
        )
    return job


def keep_to_job(work: Path, planned: LargeJob) -> LargeJob:
    """Return what a run that was killed had planned, or keep the new plan.

    Raises
    ------
    OutputError : the folder is of another job, or not written by ulens
    """
    path, complete = work / JOB, work / COMPLETE
    if not path.is_file():
        # the first and the last that a kill leaves of a job are no reason to stop
        left = {LOCK, new_name(path).name, COMPLETE}
        is_foreign = complete.is_file() and complete.stat().st_size > 0
        if is_foreign or any(entry.name not in left for entry in work.iterdir()):
            raise OutputError(f"{work} exists but holds no job of ulens; move it away")
        complete.unlink(missing_ok=True)
        write_file(path, json.dumps({"version": VERSION} | asdict(planned), indent=2).encode())
        return planned
    job = read_job(work)
    for field in fields(LargeJob):
        if field.name not in ("model", "image", "average", "factor"):
            continue  # the machine may be another one, the job keeps to what it began with
        was, now = getattr(job, field.name), getattr(planned, field.name)
        if was != now:
            shown = f" (it was {was}, is {now})" if field.name in ("average", "factor") else ""
            raise OutputError(
                f"{work} holds an unfinished job with another {field.name}{shown}; go on with "
                f"the same one, or remove {work} to start over"
            )
    return job


def hash_model(model: Path) -> str:
    """Return what tells a model from all others; its file holds the hash of its weights."""
    return hashlib.sha256((model / MODEL).read_bytes()).hexdigest()


def read_job(work: Path) -> LargeJob:
    """Return the job that a folder is of.

    Raises
    ------
    OutputError : its file is damaged, or of another version of ulens
    """
    path = work / JOB
    try:
        found = read_json(path.read_bytes(), JOB)
        version = found.pop("version", None) if isinstance(found, dict) else None
        if version == VERSION:
            return read_record(LargeJob, found, "job")
    except (OSError, SettingError) as error:
        raise OutputError(f"{path} is damaged ({error}); remove {work} to start over") from error
    raise OutputError(
        f"{path} has version {show(version)}, this ulens knows {VERSION}; finish the job with the "
        f"ulens that began it, or remove {work} to start over"
    )


def is_in_place(work: Path) -> bool:
    """Return whether a job was killed when all that was left to do was to remove its files."""
    return all((work / name).is_file() for name in (JOB, COMPLETE)) and not _output(work).exists()


def finish_job(work: Path, out: Path, overwrite: bool) -> None:
    """Give the complete output its name, and remove what it was made from.

    Raises
    ------
    OutputError : in the meantime something was put there that may not be replaced
    """
    if _output(work).exists():
        check_replaceable(out, overwrite)
        put_in_place(_output(work), out)
    remove_own(work, _MADE_FROM)
    # in this order: a kill in between leaves what the next run knows for a job that was done
    (work / JOB).unlink()
    (work / COMPLETE).unlink()


def _output(work: Path) -> Path:
    return work / OUTPUT


def follow_link(out: Path) -> Path:
    """Return where an output goes: where its name is a link, to what that leads to."""
    return out.resolve() if out.is_symlink() and out.exists() else out


def check_output(out: Path, image: Path, model: Path, overwrite: bool) -> None:
    """Raise OutputError where writing could damage what is there."""
    place = Path(os.path.realpath(out))  # which takes links that lead nowhere, too
    for needed in (image, model):
        its = Path(os.path.realpath(needed))
        is_same = all(map(os.path.exists, (place, its))) and place.samefile(its)
        if is_same or place in its.parents:
            raise OutputError(f"output {out} is or holds {needed}, which is needed; choose another")
        if its in place.parents:
            raise OutputError(f"output {out} lies in {needed}, which is needed; choose another")
    check_replaceable(out, overwrite)
    check_parent(out, "output")


def check_replaceable(out: Path, overwrite: bool) -> None:
    """Raise OutputError where what stands there may not be replaced."""
    is_folder = out.suffix.lower() == ".zarr"
    is_no = None if not is_folder or is_label_zarr(out) else "label image of ulens"
    check_writable(out, "output", is_folder=is_folder, overwrite=overwrite, is_no=is_no)
    if is_folder and (foreign := find_foreign(out, ZARR_FILES)):
        raise OutputError(
            f"output {out} holds {name_some(foreign)}, which ulens did not write and would be "
            "removed; move that, or choose another name"
        )


def check_disk(work: Path, needed_bytes: int) -> None:
    """Raise OutputError unless the disk has room."""
    free_bytes = shutil.disk_usage(work).free
    if free_bytes < needed_bytes:
        raise OutputError(
            f"{needed_bytes / 1e9:.1f} GB are needed beside the output until it is done, "
            f"{free_bytes / 1e9:.1f} GB are free; free some space or choose another disk"
        )


def count_disk_bytes(bundle: ModelBundle, volume: Volume, suffix: str) -> int:
    """Return what the files of a job take at most, its output included.

    Maps, seeds and labels are there for the plane at work; for TIFF the labels of all planes.
    """
    plane_px = volume.size[0] * volume.size[1]
    num_planes = len(volume.planes())
    num_kept = 1 if suffix.lower() == ".zarr" else num_planes
    if ENCODINGS[bundle.encoding].pixel_by_pixel:
        return plane_px * (num_kept + num_planes)
    return 4 * plane_px * (bundle.net.num_classes + 1 + num_kept + num_planes)


def count_memory_bytes(bundle: ModelBundle, volume: Volume, job: LargeJob) -> int:
    """Return what the program takes at its peak, by estimate."""
    height, width = (min(job.block_px + 2 * job.halo_px, length) for length in volume.size)
    tile = _tile_bytes_per_px(bundle, job.engine) * job.tile_px**2
    decoding = _DECODING_BYTES * height * width
    return int(_BASE_BYTES + _weights_bytes(bundle) + max(tile, decoding))


def measure_tile(predictor: Predictor, size: tuple[int, int]) -> float:
    """Return the seconds that the network takes for the first tile of a plane of `size` (Y, X).

    The second of two runs counts: in the first, memory and kernels are still being set up.
    """
    rows, columns = plan_tiles(size, predictor.geometry, predictor.max_input)[0].write
    blank = np.zeros((predictor.in_channels, rows.stop, columns.stop), np.float32)
    seconds = 0.0
    for _ in range(2):
        start = perf_counter()
        predictor.predict(blank)
        seconds = perf_counter() - start
    return seconds


def _weights_bytes(bundle: ModelBundle) -> int:
    return 2 * sum(4 * weights.numel() for weights in bundle.net.parameters())


def _tile_bytes_per_px(bundle: ModelBundle, engine: EngineName) -> int:
    width = int(getattr(bundle.net, "width", 64))
    return _NUM_MAPS * width * (2 if engine.endswith("bf16") else 4)
