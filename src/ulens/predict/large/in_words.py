"""A large job in words: what it will take, and what it found."""

from collections.abc import Iterator

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS
from ulens.image import name_shape
from ulens.io.regions import Volume
from ulens.predict.large.job import (
    LargeJob,
    check_disk,
    count_disk_bytes,
    count_memory_bytes,
    measure_tile,
)
from ulens.predict.large.parts import JobRequest
from ulens.predict.large.volumes import PlaneWork
from ulens.predict.predictor import Predictor


def foretell(
    bundle: ModelBundle,
    volume: Volume,
    request: JobRequest,
    works: list[PlaneWork],
    predictor: Predictor,
    *,
    by_workers: bool,
) -> Iterator[str]:
    """Yield what the user should know of a job beforehand.

    Parameters
    ----------
    works, predictor : of `request`
    by_workers : whether several processes share the work

    Raises
    ------
    OutputError : the disk has no room
    """
    job, folder = request.job, request.folder
    num_all = sum(_count_tiles(work, predictor) for work in works)
    num_missing = sum(_count_tiles(work, predictor, missing=True) for work in works)
    if num_missing < num_all:
        yield f"going on with {folder}: {num_all - num_missing} of {num_all} tiles are done"
    else:
        check_disk(folder, count_disk_bytes(bundle, volume, request.suffix))
    first = tuple(min(job.block_px, length) for length in volume.size)
    minutes = num_missing * measure_tile(predictor, (first[0], first[1])) / 60
    by_whom, each = (" of one worker", " each") if by_workers else ("", "")
    num_blocks = sum(len(work.blocks) for work in works)
    sizes = name_shape(volume.shape)
    disk_gb = count_disk_bytes(bundle, volume, request.suffix) / 1e9
    yield (
        f"{sizes} pixels ({volume.axes}) in {num_blocks} block{'s' * (num_blocks > 1)}; the "
        f"network ({job.engine}) needs about {minutes:.1f} minutes{by_whom}; memory at most "
        f"{count_memory_bytes(bundle, volume, job) / 1e9:.1f} GB{each}; "
        f"on disk up to {disk_gb:.1f} GB until {folder} is done"
    )
    refined = ENCODINGS[bundle.encoding].refined
    if refined and len(works[0].blocks) > 1:
        yield (
            f"{refined} block by block, with {job.halo_px} px around each: "
            "near borders of blocks the result can differ from that of the whole image"
        )


def report(works: list[PlaneWork], job: LargeJob) -> str:
    """Return what was found, and where it can differ from the result of the whole image."""
    counts = [work.num_objects for work in works]
    if counts[0] is None:
        return f"planes {len(works)}"
    num_objects = sum(count or 0 for count in counts)
    num_unsure = sum(work.num_unsure for work in works)
    if num_unsure == 0:
        return (
            f"objects {num_objects}, as from the image in one piece, but for pixels that lie "
            "equally near two"
        )
    return (
        f"objects {num_objects}; about {num_unsure} of them grow over more than {job.halo_px} px "
        "of a neighbouring block: there they can end, or have another outline than from the image "
        "in one piece"
    )


def _count_tiles(work: PlaneWork, predictor: Predictor, *, missing: bool = False) -> int:
    return sum(
        work.num_steps("predict", block, predictor)
        for block in work.blocks
        if not (missing and work.is_done("predict", block))
    )
