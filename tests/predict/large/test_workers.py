"""Workers that do the blocks of a large image: real processes of dask on this machine."""

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import product
from time import monotonic
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
import tifffile
from dask import config as dask_config
from distributed import Client, KilledWorker, LocalCluster, Security

from brightness import events_of, make_bundle, make_cells, save_instances_model
from ulens.bundle import save_bundle
from ulens.errors import DataError, OutputError, SettingError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.io.reading import BY_FILE
from ulens.predict.large import workers as large_workers
from ulens.predict.large.job import LargeJob, read_job
from ulens.predict.large.parts import JobRequest

A_JOB = LargeJob(
    model="", image="", average=1, factor=(1.0, 1.0), engine="fp32", beside_int8="fp32",
    tile_px=100, block_px=32, halo_px=8,
)  # fmt: skip
SMALL = {"block_px": 32, "halo_px": 8, "device": "cpu", "engine": "fp32"}


@pytest.fixture
def model(tmp_path):
    return save_instances_model(tmp_path / "m")


@pytest.fixture
def stack(tmp_path):
    """Two planes in 25 blocks each, with bright squares, some of which overlap."""
    data = make_cells(2, 140, 150, per_plane=70)
    write_tiff(tmp_path / "stack.tif", Image(data=data, axes="ZYX"))
    return tmp_path / "stack.tif"


@pytest.fixture
def client():
    """A client whose only worker is a thread of this process."""
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False}
    with LocalCluster(**options, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client
    large_workers._open.cache_clear()


def contents(folder):
    """Return the bytes of every file of an output."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@contextmanager
def dask(program, *options):
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_a_worker_that_is_killed_costs_nothing(model, stack, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    list(events_of(model, stack, tmp_path / "a" / "out.zarr", **SMALL))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as started:
        scheduler = ("--host", address, "--no-dashboard", "--no-jupyter")
        started.enter_context(dask("scheduler", *scheduler))
        options = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        workers = [started.enter_context(dask("worker", *options)) for _ in range(2)]
        with Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        out = tmp_path / "b" / "out.zarr"
        num_events = 0
        for event in events_of(model, stack, out, scheduler=address, **SMALL):
            if event.tile and num_events < 20:
                num_events += 1
                if num_events == 20:
                    assert event.tile < event.num_tiles / 2
                    workers[0].kill()
        workers[0].wait(timeout=10)
        assert workers[0].returncode == -signal.SIGKILL
        assert workers[1].poll() is None
    assert event.written == (out,)
    assert event.tile == event.num_tiles
    assert not out.with_name("out.zarr.job").exists()
    assert contents(out) == contents(tmp_path / "a" / "out.zarr")


def test_a_cluster_of_its_own_writes_a_tiff(model, stack, tmp_path):
    list(events_of(model, stack, tmp_path / "here.tif", **SMALL))
    events = list(events_of(model, stack, tmp_path / "o.tif", workers=2, **SMALL))
    assert events[-1].tile == events[-1].num_tiles
    assert (tmp_path / "o.tif").read_bytes() == (tmp_path / "here.tif").read_bytes()


def test_a_cluster_of_its_own_lets_nobody_else_in():
    with large_workers.connect(1, None) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        strangers = ((address.replace("tls", "tcp"), None), (address, Security.temporary()))
        for theirs, security in strangers:
            with pytest.raises((OSError, TypeError)), Client(theirs, security=security, timeout=2):
                pass
        ports = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.http_server.port)
        for page in ("/", "/status", "/info/main/workers.html", "/json/counts.json", "/metrics"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://127.0.0.1:{ports}{page}", timeout=10)
        assert client.submit(sum, [1, 2]).result() == 3


def test_a_running_scheduler_is_reached_by_the_certificates_of_dasks_configuration(tmp_path):
    made = Security.temporary()
    (tmp_path / "ca.pem").write_text(made.tls_ca_file)
    tls = {"require-encryption": True, "tls.ca-file": str(tmp_path / "ca.pem")}
    for role, part in product(("client", "scheduler", "worker"), ("cert", "key")):
        file = tmp_path / f"{role}-{part}.pem"
        file.write_text(getattr(made, f"tls_{role}_{part}"))
        tls[f"tls.{role}.{part}"] = str(file)
    with dask_config.set({f"distributed.comm.{name}": value for name, value in tls.items()}):
        options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
        with (
            LocalCluster(**options, processes=False, protocol="tls://") as cluster,
            large_workers.connect(None, cluster.scheduler_address) as client,
        ):
            assert client.scheduler.address.startswith("tls://")
            assert client.submit(sum, [1, 2]).result() == 3
    with (
        pytest.raises(SettingError, match="no dask scheduler answers"),
        large_workers.connect(None, "tls://127.0.0.1:1"),
    ):
        pass


def test_errors_of_a_worker_reach_the_user(model, tmp_path):
    image = np.zeros((40, 70), np.float32)
    image[30, 60] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", image)
    with pytest.raises(DataError, match="NaN or infinite pixels"):
        list(events_of(model, tmp_path / "nan.tif", tmp_path / "o.tif", workers=1, **SMALL))


@pytest.mark.parametrize(
    ("workers", "scheduler", "message"),
    [
        (0, None, "workers is 0; need 1 or more"),
        (2, "tcp://127.0.0.1:1", "set one of them"),
        (None, "tcp://127.0.0.1:1", "no dask scheduler answers at tcp://127.0.0.1:1"),
        (None, "nonsense://x", "no dask scheduler answers at nonsense://x"),
    ],
)
def test_settings_that_are_refused(model, stack, tmp_path, workers, scheduler, message):
    options = {**SMALL, "workers": workers, "scheduler": scheduler}
    with pytest.raises(SettingError, match=message):
        list(events_of(model, stack, tmp_path / "o.zarr", **options))
    assert not (tmp_path / "o.zarr.job").exists()


def test_without_dask_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(SettingError, match=r"pip install 'ulens\[scale\]'"),
        large_workers.connect(1, None),
    ):
        pass


def begun(model, stack, tmp_path):
    """Return the request of a job that was cut off."""
    work = events_of(model, stack, tmp_path / "o.zarr", **SMALL)
    while not (tmp_path / "o.zarr.job" / "z000" / "statistics.json").is_file():
        next(work)
    work.close()
    return JobRequest(
        model=model,
        image=stack,
        reading=BY_FILE,
        job=read_job(tmp_path / "o.zarr.job"),
        folder=tmp_path / "o.zarr.job",
        device="cpu",
        suffix=".zarr",
    )


def test_a_worker_without_the_same_files_says_so(model, stack, tmp_path, client):
    request = begun(model, stack, tmp_path)
    part = large_workers.Part(0, "predict", (0, 0))
    other = tmp_path / "other"
    changed = make_bundle(labels_are="instances", decoding={"threshold": 0.6})
    save_bundle(changed, other)
    for name, message in (
        ("nowhere", r"does not see .*nowhere; model, image and output must lie on storage"),
        ("other", "has another model under"),
    ):
        wrong = replace(request, model=tmp_path / name)
        with pytest.raises(OutputError, match=message):
            list(large_workers.compute_parts(client, wrong, [part]))
    assert list(large_workers.compute_parts(client, request, [part])) == [part]
    assert len(list(request.folder.rglob("maps/0_0.npy"))) == 1


def test_a_worker_that_stays_takes_up_the_next_job_of_the_same_name(model, stack, tmp_path, client):
    request = begun(model, stack, tmp_path)
    part = large_workers.Part(0, "predict", (0, 0))
    assert list(large_workers.compute_parts(client, request, [part])) == [part]
    other = replace(request, job=replace(request.job, block_px=64))
    part = large_workers.Part(0, "predict", (1, 1))
    assert list(large_workers.compute_parts(client, other, [part])) == [part]
    [maps] = request.folder.rglob("maps/1_1.npy")
    assert np.load(maps).shape[1:] == (64, 64)


def test_a_part_that_takes_workers_down_is_named(client, monkeypatch, tmp_path):
    def kill(request, part):
        raise KilledWorker("key", SimpleNamespace(address="tcp://x"), 3)

    monkeypatch.setattr(large_workers, "do_part", kill)
    request = JobRequest(
        model=tmp_path, image=tmp_path, reading=BY_FILE, job=A_JOB, folder=tmp_path, device="cpu",
        suffix=".tif",
    )  # fmt: skip
    with pytest.raises(OutputError, match=r"block=\(1, 2\)\) took down .* too little mem"):
        list(large_workers.compute_parts(client, request, [large_workers.Part(0, "seed", (1, 2))]))


def test_without_workers_the_job_gives_up(tmp_path):
    part = large_workers.Part(0, "seed", (1, 2))
    request = JobRequest(
        model=tmp_path, image=tmp_path, reading=BY_FILE, job=A_JOB, folder=tmp_path, device="cpu",
        suffix=".tif",
    )  # fmt: skip
    start = monotonic()
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
        pytest.raises(OutputError, match=r"no worker .* what is done stays in"),
    ):
        list(large_workers.compute_parts(client, request, [part], wait_seconds=0.5))
    assert monotonic() - start < 60
