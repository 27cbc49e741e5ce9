import os
import signal
import subprocess
import sys
import time

import pytest

from brightness import make_cells, save_instances_model
from tiny_training import write_folder
from ulens.bundle import load_bundle
from ulens.cli.signals import say_if_heard
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.io.lock import LOCK
from ulens.training.model_folder import read_log

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for one process")
PROGRAM = "import torch; torch.set_num_threads(1); from ulens.cli import main; main()"


def end_when(is_due, number, *arguments):
    """Run the command line; returns its status and its output."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        while not is_due():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        process.send_signal(number)
        output, _ = process.communicate(timeout=100)
    return process.returncode, output


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_training_ends_as_by_ctrl_c(tmp_path, name):
    folder = write_folder(tmp_path, steps=1_000_000)
    out = tmp_path / "model"
    status, output = end_when(
        lambda: len(read_log(out)) > 20,
        getattr(signal, name),
        *("train", folder / "images", folder / "labels", "-o", out),
        *("--plan", folder / "plan.json"),
    )
    assert status == 0
    assert "stopped early" in output
    assert "Dice" in load_bundle(out).scores
    assert not (out / LOCK).exists()


@posix
@pytest.mark.parametrize(("out", "name"), [("masks", "SIGTERM"), ("out.zarr", "SIGHUP")])
def test_a_segmentation_ends_as_by_ctrl_c(tmp_path, out, name):
    model = save_instances_model(tmp_path / "m")
    write_tiff(tmp_path / "a.tif", Image(data=make_cells(200, 300, 300), axes="ZYX"))
    folder = tmp_path / (f"{out}.job" if out.endswith("zarr") else out)
    status, output = end_when(
        lambda: any(path.name.startswith((".ulens-seg", "z0")) for path in folder.glob("*")),
        getattr(signal, name),
        *("segment", model, tmp_path / "a.tif", "-o", tmp_path / out, "--engine", "fp32"),
    )
    assert status == 130
    assert "the same command goes on" in output
    assert "Traceback" not in output
    assert not (folder / LOCK).exists()


IGNORING = """
import signal
from ulens.cli.signals import interrupted_by_all

signal.signal(signal.SIGHUP, signal.SIG_IGN)
try:
    with interrupted_by_all():
        signal.raise_signal(signal.SIGHUP)
        print("goes on", signal.getsignal(signal.SIGHUP).name)
        signal.raise_signal(signal.SIGTERM)
        print("not reached")
except KeyboardInterrupt:
    print("ended", signal.getsignal(signal.SIGTERM).name)
"""


@posix
def test_what_the_user_ignores_stays_ignored():
    """As `nohup` does."""
    command = [sys.executable, "-c", IGNORING]  # a signal that goes astray ends this process alone
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.splitlines() == ["goes on SIG_IGN", "stopping", "ended SIG_DFL"]


def test_work_goes_on_when_the_terminal_is_gone(monkeypatch):
    class Gone:
        def write(self, text):
            raise OSError(5, "Input/output error")

        def flush(self):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "stderr", Gone())
    say_if_heard("stopping")
    print("as before", flush=True)
    print("as before", file=sys.stderr, flush=True)


def test_what_the_system_refuses_is_an_error_in_one_line(ulens, tmp_path):
    name = tmp_path / ("m" * 300)
    status, _, errors = ulens("segment", tmp_path, name, "-o", tmp_path / "out")
    assert status == 1
    assert errors.startswith("error: ")
    assert "File name too long" in errors
