"""Random kills: nothing is lost, and what is resumed gives what an undisturbed run gives.

python benchmarks/kills.py OUT [--kills N] [--kinds KIND ...] [--seed S] [--minutes M]

A round begins a job in a new place, kills it with SIGKILL up to three times at random moments,
each time starting the same command again, and lets it end. After each kill what lies there must be
usable; at the end it must be, byte for byte, what a run without kills gives, with nothing left
over. N kills of each kind are made; OUT/kills.jsonl holds a line for each round, and a second call
goes on after the last one. Needs Linux and dask.distributed.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import safetensors.torch
import torch
from scipy import ndimage

from ulens.bundle import MODEL, load_bundle
from ulens.errors import UlensError
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.io.lock import LOCK, hold
from ulens.jobs.planning import TrainSettings
from ulens.jobs.segment import run_segmentation
from ulens.jobs.segmenting import SegmentSettings
from ulens.jobs.train import run_training
from ulens.planning.plan import Plan, read_plan
from ulens.report import training as report_of_training  # noqa: F401 (once for all processes)
from ulens.training.clock import Pace
from ulens.training.model_folder import PLAN, STATE, read_log

NUM_STEPS, SAVE_EVERY, BLOCK_PX, WAIT_SECONDS = 120, 50, 32, 120
REFUSED, FAILED = 3, 4  # exit status of a job: by an error of ulens, by any other


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is killed."""

    output: str  # name of what the job makes
    run: Callable[..., Iterator[object]]  # does the job; yields something as it goes on
    victim: str = "job"  # or its whole group of processes, a worker, the scheduler
    every: int = 1  # kill after events whose number is a multiple of this
    delay_s: float = 0.02  # longest time from that event to the kill


def train(inputs: Path, out: Path, save_seconds: float) -> Iterator[object]:
    goes_on = (out / STATE).is_file()
    yield from run_training(
        TrainSettings(
            inputs / "images", inputs / "labels", out=out, resume=goes_on,
            plan=None if goes_on else inputs / PLAN,
        ),
        pace=Pace(save_seconds=save_seconds),
    )  # fmt: skip


def segment(inputs: Path, out: Path, image: str, **options: Any) -> Iterator[object]:
    model = inputs / "model"
    yield from run_segmentation(
        SegmentSettings(model, inputs / image, out=out, engine="fp32", device="cpu", **options)
    )


def large(inputs: Path, out: Path, **options: Any) -> Iterator[object]:
    return segment(inputs, out, "stack.tif", block_px=BLOCK_PX, halo_px=8, **options)


KINDS = {
    "training": Kind(output="model", run=partial(train, save_seconds=0.2)),
    "saving": Kind(
        output="model", run=partial(train, save_seconds=0.0), every=SAVE_EVERY, delay_s=0.1
    ),
    "predicting": Kind(output="masks", run=partial(segment, image="images")),
    "zarr": Kind(output="out.zarr", run=large),
    "tif": Kind(output="out.tif", run=large),
    "zarr, 1 worker": Kind(output="out.zarr", run=partial(large, workers=1)),
    "zarr, 3 workers": Kind(output="out.zarr", run=partial(large, workers=3), victim="group"),
    "tif, 1 worker": Kind(output="out.tif", run=partial(large, workers=1), victim="group"),
    "tif, 3 workers": Kind(output="out.tif", run=partial(large, workers=3)),
    "a worker of 3": Kind(output="out.zarr", run=partial(large, workers=3), victim="worker"),
    "scheduler": Kind(output="out.tif", run=large, victim="scheduler"),
}


def main() -> None:
    options = read_options()
    os.nice(5)
    torch.set_num_threads(1)
    inputs, results = options.out / "inputs", options.out / "kills.jsonl"
    with hold(options.out):
        play(options, inputs, results)
    report(read_rows(results))


def play(options: argparse.Namespace, inputs: Path, results: Path) -> None:
    ends = time.monotonic() + 60 * options.minutes
    if not (inputs / "model" / MODEL).is_file():
        shutil.rmtree(inputs, ignore_errors=True)
        make_inputs(inputs)
    for name in options.kinds:
        while time.monotonic() < ends:
            done = [row for row in read_rows(results) if row["kind"] == name]
            if sum(row["kills"] for row in done) >= options.kills:
                break
            row = play_round(options.out, inputs, name, options.seed, len(done))
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=100, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after these")
    return parser.parse_args()


def read_rows(results: Path) -> list[dict[str, Any]]:
    lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def make_inputs(inputs: Path) -> None:
    """Write images, labels, a stack, a plan, and the model that a training by it gives."""
    generator = np.random.default_rng(0)
    for number in range(6):
        label, _ = ndimage.label(ndimage.gaussian_filter(generator.normal(size=(64, 64)), 3) > 0.05)
        image = (60 + 90 * (label > 0) + generator.normal(0, 15, label.shape)).clip(0, 255)
        for kind, pixels in (("images", image.astype(np.uint8)), ("labels", label)):
            (inputs / kind).mkdir(parents=True, exist_ok=True)
            whole = Image(data=pixels.astype(np.uint16), axes="YX")
            write_tiff(inputs / kind / f"{number}.tif", whole)
    images = [read_image(path).data for path in sorted((inputs / "images").iterdir())]
    write_tiff(inputs / "stack.tif", Image(data=np.stack(images[:3]), axes="ZYX"))
    settings = TrainSettings(
        inputs / "images", inputs / "labels", out=inputs / "model", steps=NUM_STEPS, width=4,
        start_from=Path("noise"), plan_only=True,
    )  # fmt: skip
    list(run_training(settings))
    record = read_plan(inputs / "model" / PLAN).to_json()
    record["network"]["depth"], record["tiles"]["crop"], record["tiles"]["zoom"] = 1, 34, [1, 1]
    (inputs / PLAN).write_bytes(Plan.from_json(record).to_bytes())
    shutil.rmtree(inputs / "model")
    list(run_training(replace(settings, plan=inputs / PLAN, plan_only=False, start_from=None)))


def play_round(folder: Path, inputs: Path, name: str, seed: int, number: int) -> dict[str, Any]:
    """Play a round; return what there is to know of it."""
    started, kind = time.monotonic(), KINDS[name]
    generator = np.random.default_rng([seed, list(KINDS).index(name), number])
    expected = find_expected(folder, inputs, kind)
    place = folder / "round"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    out, num_kills, num_wanted = place / kind.output, 0, int(generator.integers(1, 4))
    problems = []
    for attempt in range(num_wanted + 1):
        event = int(generator.integers(1, max(2, expected["events"] // 2)))
        when = None
        if attempt < num_wanted:
            event = max(kind.every, event // kind.every * kind.every)
            when = event, float(generator.uniform(0, kind.delay_s))
        with scheduler_if(kind) as (options, of_scheduler):
            status, killed = run_job(inputs, out, kind, when, options, of_scheduler, generator)
        num_kills += killed
        if problem := find_damage(out):
            problems.append(problem)
        if status in (0, FAILED):
            problems += ["a traceback"] * (status == FAILED)
            break
    if not problems and describe(out) != expected["result"]:
        problems.append("another result")
    left = sorted(path.name for path in place.iterdir() if path != out)
    left += [path.name for path in place.rglob("*") if path.name == LOCK or path.suffix == ".new"]
    return {
        "date": str(date.today()), "kind": name, "seed": seed, "round": number,
        "kills": num_kills, "problems": problems, "left": left,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def find_expected(folder: Path, inputs: Path, kind: Kind) -> dict[str, Any]:
    """Return what a run without kills gives, and how many events it had; from a file, if there."""
    path = folder / f"expected {kind.output}.json"
    if not path.is_file():
        place = folder / "undisturbed"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        out = place / kind.output
        alone = {"workers": None} if kind.output.startswith("out.") else {}
        num_events = sum(1 for _ in kind.run(inputs, out, **alone))
        path.write_text(json.dumps({"events": num_events, "result": describe(out)}))
    return json.loads(path.read_text())


def run_job(
    inputs: Path, out: Path, kind: Kind, when: tuple[int, float] | None, options: dict[str, Any],
    of_scheduler: list[int], generator: np.random.Generator,
) -> tuple[int, int]:  # fmt: skip
    """Run a job in a process of its own; return its status, −9 if killed, and how many kills."""
    reading, writing = os.pipe()
    job = os.fork()
    if job == 0:
        os.close(reading)
        work_and_exit(inputs, out, kind, writing, options)
    os.close(writing)
    num_kills = 0
    with FileIO(reading) as events:
        if when is not None and wait_for(events, when[0]):
            time.sleep(when[1])
            num_kills = kill(job, kind, of_scheduler, generator)
        while events.read(1 << 16):
            pass
    _, status = os.waitpid(job, 0)
    with suppress(ProcessLookupError):
        os.killpg(job, signal.SIGKILL)  # workers that outlived it
    code = os.waitstatus_to_exitcode(status)
    # what had ended by itself was not killed
    is_late = kind.victim in ("job", "group") and code != -signal.SIGKILL
    return code, 0 if is_late else num_kills


def work_and_exit(
    inputs: Path, out: Path, kind: Kind, writing: int, options: dict[str, Any]
) -> None:
    """Do the job, and tell of each event through a pipe; in a new process, which ends with it."""
    os.setsid()
    status = 0
    try:
        for _ in kind.run(inputs, out, **options):
            os.write(writing, b".")
    except UlensError as error:
        print(error, file=sys.stderr)
        status = REFUSED
    except BaseException:
        traceback.print_exc()
        status = FAILED
    os._exit(status)


def wait_for(events: FileIO, number: int) -> bool:
    """Wait for an event; return whether it came before the job ended."""
    while number > 0 and (read := len(events.read(number))):
        number -= read
    return number <= 0


def kill(job: int, kind: Kind, of_scheduler: list[int], generator: np.random.Generator) -> int:
    """Kill what the kind says; return the number of kills, 0 where it had ended by itself."""
    victims = of_scheduler if kind.victim == "scheduler" else [job]
    if kind.victim == "worker":
        found = psutil.Process(job).children(recursive=True)
        victims = [each.pid for each in found if "spawn_main" in " ".join(each.cmdline())]
    try:
        if kind.victim == "group":
            os.killpg(job, signal.SIGKILL)
        else:
            os.kill(int(generator.choice(victims)), signal.SIGKILL)
    except (ProcessLookupError, psutil.NoSuchProcess, ValueError):  # the last: no worker yet
        return 0
    return 1


@contextmanager
def scheduler_if(kind: Kind) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Start a scheduler and two workers where the kind is of them; yield options, and its pid."""
    if kind.victim != "scheduler":
        yield {}, []
        return
    from distributed import Client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as started:
        as_worker = ("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        pids = []
        for options in (("scheduler", "--host", address, "--no-dashboard"), as_worker, as_worker):
            command = [sys.executable, "-m", f"distributed.cli.dask_{options[0]}", *options[1:]]
            process = started.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            started.callback(process.kill)
            pids.append(process.pid)
        with Client(address, timeout=WAIT_SECONDS) as client:
            client.wait_for_workers(2, timeout=WAIT_SECONDS)
        yield {"scheduler": address}, pids[:1]


def find_damage(out: Path) -> str:
    """Return what is not usable of what a kill left."""
    try:
        if (out / MODEL).is_file():
            load_bundle(out)
        for path in out.glob("*.tif"):
            read_image(path)
    except UlensError as error:
        return f"damaged: {error}"
    return ""


def describe(out: Path) -> dict[str, Any]:
    """Return hashes of all that must be the same: of a model the weights, else all files."""
    if (out / MODEL).is_file():
        tensors = safetensors.torch.load_file(out / "weights.safetensors")
        steps = [row["step"] for row in read_log(out) if "loss" in row]
        weights = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
        return {"weights": sha256(weights).hexdigest(), "steps": steps == sorted(set(steps))}
    files = [out] if out.is_file() else sorted(path for path in out.rglob("*.*") if path.is_file())
    files += sorted(path for path in out.rglob("c/**/*") if path.is_file())
    kept = [path for path in files if path.suffix != ".jsonl"]
    if out.name == "masks":  # whose files have a name of their own within
        return {path.name: sha256(read_image(path).data.tobytes()).hexdigest() for path in kept}
    return {str(path.relative_to(out)): sha256(path.read_bytes()).hexdigest() for path in kept}


def report(rows: list[dict[str, Any]]) -> None:
    print(
        "| kind | rounds | kills | with problems | left over | seconds |\n|---|---|---|---|---|---|"
    )
    for name in [*KINDS, "all"]:
        of_kind = [row for row in rows if name in ("all", row["kind"])]
        print(
            f"| {name} | {len(of_kind)} | {sum(row['kills'] for row in of_kind)} "
            f"| {sum(bool(row['problems']) for row in of_kind)} "
            f"| {sum(bool(row['left']) for row in of_kind)} "
            f"| {sum(row['seconds'] for row in of_kind):.0f} |"
        )


if __name__ == "__main__":
    main()
