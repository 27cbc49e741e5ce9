"""The parts of a large job shared out among processes, on one machine or many, by dask.

A part is a block in one stage: it reads files of the job's folder and writes one. So workers need
no memory of each other: what one was at when it died is done again by another.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ulens.bundle import load_bundle
from ulens.errors import OutputError, SettingError
from ulens.io.regions import open_volume
from ulens.predict.large.blocks import Block
from ulens.predict.large.job import hash_model
from ulens.predict.large.parts import JobRequest, cut_planes, make_predictor
from ulens.predict.large.volumes import PlaneWork, StageName
from ulens.predict.predictor import Predictor

if TYPE_CHECKING:
    from distributed import Client

PARTS_PER_THREAD = 3
"""That are under way or wait at the workers; so many that none is ever idle."""

WAIT_SECONDS = 120.0
"""Without a worker before the job gives up."""

_lock = Lock()
_files = ExitStack()
"""The image that this worker has open, until it gets another job or ends."""


class Part(NamedTuple):
    """One block in one stage of one plane; None is the end of the stage, when all are done."""

    plane: int
    stage: StageName
    block: Block | None


@contextmanager
def connect(workers: int | None, scheduler: str | None) -> Iterator["Client | None"]:
    """Yield a client of a new cluster on this machine, or of a running scheduler; else None.

    Parameters
    ----------
    workers : number of processes of the new cluster
    scheduler : address of the running one; how it is encrypted is said in dask's configuration

    Raises
    ------
    SettingError : dask.distributed is not installed, or the scheduler does not answer

    Notes
    -----
    Whoever may send a task to a scheduler runs code as its user. So the processes of the new
    cluster know each other by a certificate made for it, which is only in their memory, and none
    serves pages.
    """
    if workers is None and scheduler is None:
        yield None
        return
    try:
        import cryptography  # noqa: F401 (makes the certificate)
        import dask
        from distributed import Client, LocalCluster, Security
    except ImportError as error:
        raise SettingError(
            f"several workers need dask.distributed and cryptography ({error}); install them: "
            "pip install 'ulens[scale]'"
        ) from error
    with ExitStack() as stack:
        if scheduler is None:
            threads = max(1, (os.cpu_count() or 1) // (workers or 1))
            pages: dict[str, list[str]] = {
                f"distributed.{each}.http.routes": [] for each in ("scheduler", "worker")
            }
            with dask.config.set(pages):
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=threads,
                    dashboard_address=None,
                    security=Security.temporary(),
                    silence_logs=logging.CRITICAL,  # errors are raised here
                )
            yield stack.enter_context(Client(stack.enter_context(cluster)))
            return
        try:
            client = stack.enter_context(Client(scheduler, timeout=10))
        except (OSError, ValueError, TypeError) as error:  # the last: no certificate
            raise SettingError(
                f"no dask scheduler answers at {scheduler} ({error}); start one with "
                "'dask scheduler', or see its log for the address"
            ) from error
        yield client


def do_on_workers(
    client: "Client", request: JobRequest, works: list[PlaneWork], predictor: Predictor
) -> Iterator[int]:
    """Do all stages of all planes on the workers; yield how many steps more are done.

    Parameters
    ----------
    request : with paths that the workers see too
    works, predictor : as the workers make them of `request`

    Raises
    ------
    OutputError : no worker is left, one does not see the files, or a part has taken down several
    UlensError : as `PlaneWork.do`, on a worker
    """
    # as many planes at a time as keep all workers busy
    num_planes = max(1, -(-_num_under_way(client) // len(works[0].blocks)))
    for start in range(0, len(works), num_planes):
        planes = range(start, min(start + num_planes, len(works)))
        for stage in works[start].stages:
            missing = []
            for plane in planes:
                for block in works[plane].parts(stage):
                    if works[plane].is_done(stage, block):
                        yield works[plane].num_steps(stage, block, predictor)
                    else:
                        missing.append(Part(plane, stage, block))
            for part in compute_parts(client, request, missing):
                assert part.block is not None
                yield works[part.plane].num_steps(stage, part.block, predictor)
            for _ in compute_parts(client, request, [Part(plane, stage, None) for plane in planes]):
                yield 0


def _num_under_way(client: "Client") -> int:
    return PARTS_PER_THREAD * max(1, sum(client.nthreads().values()))


def compute_parts(
    client: "Client", request: JobRequest, parts: list[Part], wait_seconds: float = WAIT_SECONDS
) -> Iterator[Part]:
    """Have parts done; yield them in the order in which they are. Without workers give up."""
    from distributed import CancelledError, Future, KilledWorker, wait
    from distributed.comm import CommClosedError  # type: ignore[attr-defined]

    waiting = deque(parts)
    under_way: dict[Future[Any], Part] = {}
    last_seen = monotonic()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < _num_under_way(client):
                part = waiting.popleft()
                under_way[client.submit(do_part, request, part, pure=False)] = part
            try:
                done = wait(list(under_way), timeout=1, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                if client.nthreads():
                    last_seen = monotonic()
                elif monotonic() - last_seen > wait_seconds:
                    raise OutputError(
                        f"no worker is left since {wait_seconds:.0f} seconds; what is done stays "
                        f"in {request.folder}: start workers and the job again"
                    ) from None
                continue
            last_seen = monotonic()
            for future in done:
                part = under_way.pop(future)
                try:
                    future.result()
                except KilledWorker as error:
                    raise OutputError(
                        f"{part} took down several workers; the usual reason is too little "
                        f"memory: give each more. What is done stays in {request.folder}"
                    ) from error
                yield part
    except (CancelledError, CommClosedError) as error:
        raise OutputError(
            f"the dask scheduler no longer answers ({error or type(error).__name__}); what is done "
            f"stays in {request.folder}: start it and the job again"
        ) from error
    finally:
        client.cancel(list(under_way))


def do_part(request: JobRequest, part: Part) -> None:
    """Do a part, on a worker; one at a time, since that is what its memory is counted for."""
    with _lock:
        works, predictor = _open(request)
        work = works[part.plane]
        if part.block is None:
            work.finish(part.stage)
            return
        for _ in work.do(part.stage, part.block, predictor):
            pass


@lru_cache(maxsize=1)
def _open(request: JobRequest) -> tuple[list[PlaneWork], Predictor]:
    """Load the model and open the image, once for all parts that this worker gets.

    Raises
    ------
    OutputError : this worker does not see the files that the job was planned for
    """
    from distributed import get_worker

    torch.set_num_threads(get_worker().state.nthreads)
    here = f"the worker on {socket.gethostname()}"
    for path in (request.folder, request.model, request.image):
        if not path.exists():
            raise OutputError(
                f"{here} does not see {path}; model, image and output must lie on storage that "
                "all workers reach by the same path"
            )
    job = request.job
    bundle = load_bundle(request.model)
    _files.close()  # the image of the job before
    volume = _files.enter_context(open_volume(request.image, request.reading))
    for name, expected, found in (
        ("model", job.model, hash_model(request.model)),
        ("image", job.image, volume.fingerprint()),
    ):
        if expected != found:
            raise OutputError(
                f"{here} has another {name} under {getattr(request, name)} than the job was "
                "planned for; put the same files there"
            )
    return cut_planes(request, bundle, volume), make_predictor(request, bundle)
