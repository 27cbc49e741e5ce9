"""From an empty environment to label images: what a user types, and how long it takes.

    python benchmarks/install_to_masks.py OUT [PROGRAM ...] [--limit SECONDS]

For ulens, Cellpose, StarDist, nnU-Net and BiaPy. Each gets a virtual environment of its own in
OUT/PROGRAM and a copy of the same simulated images: eight with label images to train on, images/
and labels/, and four new ones, new/. The steps are those of its documentation, from random weights
where none come with it; trained is as little as goes through, since the question is what the way
costs, not what comes out. benchmarks/install_to_masks has the files that the user writes. Counted
are the lines typed in the shell and the lines of these files that are neither empty nor comments.
OUT/PROGRAM/log tells what was printed, OUT/rows.jsonl what was measured; a row that is there is
not measured again, but where a step failed, all steps after the install are. Prints the table.

torch is installed first, at the version of constraints.txt: which build of it a registry gives
decides most of the size.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.simulate.challenges import simulate_cells

ROOT = Path(__file__).resolve().parents[1]
FILES = Path(__file__).with_suffix("")
NUM_TRAINING, NUM_NEW, SIZE_PX = 8, 4, 256
TIMED_OUT = 124
"""What `timeout` ends with."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a user types: to install it, then to prepare, train and segment."""

    install: str
    steps: tuple[str, ...]
    files: tuple[str, ...] = ()
    needs_torch: bool = True


PROGRAMS = {
    "ulens": Program(
        install=f"pip install {ROOT}",
        steps=(
            "ulens train images/ labels/ --time 1min -o cells.model",
            "ulens segment cells.model new/ -o masks/",
        ),
    ),
    "cellpose-3": Program(
        install="pip install 'cellpose<4'",
        steps=(
            "mkdir train masks && cp images/*.tif train/",
            'for f in labels/*.tif; do cp "$f" "train/$(basename "$f" .tif)_masks.tif"; done',
            "cellpose --train --dir train --pretrained_model None --chan 0 --n_epochs 5 "
            "--learning_rate 0.1 --SGD 1 --model_name_out cells --verbose",
            "cellpose --dir new --pretrained_model train/models/cells --chan 0 --diameter 0 "
            "--save_tif --no_npy --savedir masks --verbose",
        ),
    ),
    "cellpose": Program(
        install="pip install cellpose",
        steps=(
            "mkdir train masks && cp images/*.tif train/",
            'for f in labels/*.tif; do cp "$f" "train/$(basename "$f" .tif)_masks.tif"; done',
            "cellpose --train --dir train --n_epochs 2 --model_name_out cells --verbose",
            "cellpose --dir new --pretrained_model train/models/cells "
            "--save_tif --no_npy --savedir masks --verbose",
        ),
    ),
    "stardist": Program(
        install="pip install tensorflow stardist",
        files=("stardist_cells.py",),
        steps=("python stardist_cells.py",),
        needs_torch=False,
    ),
    "nnunet": Program(
        install="pip install nnunetv2",
        files=("nnunet_prepare.py", "nnunet_cells.py"),
        steps=(
            "export nnUNet_raw=raw nnUNet_preprocessed=preprocessed nnUNet_results=results",
            "python nnunet_prepare.py",
            "nnUNetv2_plan_and_preprocess -d 1 -c 2d",
            "nnUNetv2_train 1 2d all -tr nnUNetTrainer_1epoch -device cpu",
            "nnUNetv2_predict -i inputs -o classes -d 1 -c 2d -f all -tr nnUNetTrainer_1epoch "
            "-device cpu",
            "python nnunet_cells.py",
        ),
    ),
    "biapy": Program(
        install="pip install biapy",
        files=("biapy_cells.yaml",),
        steps=(
            "biapy --config biapy_cells.yaml --result_dir results --name cells --run_id 1",
            "cp -r results/cells/results/cells_1/per_image_instances masks",
        ),
    ),
}


@dataclass(kw_only=True)
class Row:
    """What was measured; seconds by the clock and of the processor."""

    program: str
    version: str = ""
    num_commands: int = 0
    num_lines: int = 0
    install_seconds: float = 0.0
    install_cpu_seconds: float = 0.0
    gb: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    masks: int = 0
    objects: int = 0
    failed: str = ""
    each: list[tuple[str, float, float]] = field(default_factory=list)


def main() -> None:
    """Measure what is missing, and print the table."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("programs", nargs="*", default=list(PROGRAMS), metavar="PROGRAM")
    arguments.add_argument("--limit", type=float, default=1800, help="seconds for one command")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "rows.jsonl"
    done = {row.program: row for row in read_rows(file)}
    for name in options.programs:
        if name not in done or done[name].failed:
            folder = options.out.resolve() / name
            done[name] = measure(name, PROGRAMS[name], folder, options.limit, done.get(name))
            with file.open("a") as lines:
                lines.write(json.dumps(asdict(done[name])) + "\n")
    print(tabulate(list(done.values())))


def read_rows(file: Path) -> list[Row]:
    """Return what earlier runs measured."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return [Row(**json.loads(line)) for line in lines]


def measure(
    name: str, program: Program, folder: Path, limit: float, before: Row | None = None
) -> Row:
    """Take all steps of a program in a new folder, until one fails.

    Parameters
    ----------
    before : what was measured when a step failed; what was installed then is used
    """
    is_installed = before is not None and before.gb > 0
    for path in folder.glob("*"):
        if path.name not in ("venv", "log") or not is_installed:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_images(folder)
    for file in program.files:
        shutil.copy(FILES / file, folder / file)
    row = Row(
        program=name,
        num_commands=1 + len(program.steps),
        num_lines=sum(count_lines(FILES / file) for file in program.files),
    )
    if before is not None and is_installed:
        row = replace(
            before, num_commands=row.num_commands, num_lines=row.num_lines, failed="",
            each=[tuple(each) for each in before.each if each[0].startswith("pip ")],
        )  # fmt: skip
    else:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pins = re.findall(r"^torch==\S+", (ROOT / "constraints.txt").read_text(), re.M)
    torch = [f"pip install {pin}" for pin in pins if program.needs_torch]
    exports = ""
    for step in (*torch, program.install, *program.steps):
        if step.startswith("export "):
            exports = f"{step}; "
            continue
        if is_installed and step.startswith("pip "):
            continue
        started, cpu = time.monotonic(), children_seconds()
        failed = run(exports + step, folder, limit)
        spent = time.monotonic() - started, children_seconds() - cpu
        row.each.append((step, *spent))
        if failed:
            row.failed = f"{step.split()[0]} {failed}"
            break
        if step == program.install:
            row.install_seconds, row.install_cpu_seconds = np.sum(
                [each[1:] for each in row.each], axis=0
            ).tolist()
            row.gb = size_of(folder / "venv") / 1e9
            row.version = version_of(program.install, folder)
    later = [each[1:] for each in row.each if not each[0].startswith("pip ")]
    row.seconds, row.cpu_seconds = np.sum(later, axis=0).tolist() if later else (0.0, 0.0)
    masks = sorted((folder / "masks").glob("*.tif*"))
    row.masks = len(masks)
    row.objects = sum(len(np.unique(read_image(mask).data)) - 1 for mask in masks)
    return row


def write_images(folder: Path) -> None:
    """Write what every user has: images/, labels/ and new/."""
    images, labels = simulate_cells(NUM_TRAINING + NUM_NEW, size=SIZE_PX)
    for kind in ("images", "labels", "new"):
        (folder / kind).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name, is_new = f"cells_{number:02d}.tif", number >= NUM_TRAINING
        write_tiff(folder / ("new" if is_new else "images") / name, Image(data=image, axes="YX"))
        if not is_new:
            plane = label.astype(np.uint16)
            write_tiff(folder / "labels" / name, Image(data=plane, axes="YX"))


def run(command: str, folder: Path, limit: float) -> str:
    """Run a line in the shell as a user of the environment would; return how it failed, or ''."""
    path = f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    hidden = {"PYTHONPATH", "VIRTUAL_ENV"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden} | {"PATH": path}
    with (folder / "log").open("a") as log:
        print(f"$ {command}", file=log, flush=True)
        line = ["timeout", str(limit), "bash", "-c", command]
        ended = subprocess.run(
            line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if ended.returncode == TIMED_OUT:
        return f"was not done after {limit:.0f} s"
    return f"ended with {ended.returncode}, see the log" if ended.returncode else ""


def children_seconds() -> float:
    """Return the processor's seconds of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def count_lines(file: Path) -> int:
    """Count the lines that are neither empty nor comments, nor docstrings of one line."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    return sum(bool(line) and not line.startswith(("#", '"""')) for line in lines)


def size_of(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(file.lstat().st_size for file in folder.rglob("*"))


def version_of(install: str, folder: Path) -> str:
    """Return the version of the program that was installed."""
    name = re.split(r"[<=]", Path(install.split()[-1].strip("'")).name)[0]
    name = "ulens" if name == ROOT.name else name
    python = folder / "venv" / "bin" / "python"
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def tabulate(rows: list[Row]) -> str:
    """Return the table in Markdown."""
    head = [
        "", "commands", "lines of code or settings", "install, s", "its processor, s", "GB",
        "to the masks, s", "their processor, s", "masks", "objects", "",
    ]  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for row in rows:
        times = row.install_seconds, row.install_cpu_seconds, row.seconds, row.cpu_seconds
        install, install_cpu, seconds, cpu = (f"{each:.0f}" for each in times)
        lines.append(
            [
                f"{row.program} {row.version}", str(row.num_commands), str(row.num_lines), install,
                install_cpu, f"{row.gb:.2f}", seconds, cpu, str(row.masks), str(row.objects),
                row.failed,
            ]
        )  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
