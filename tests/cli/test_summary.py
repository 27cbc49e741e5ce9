"""Every command tells programs what came out, in one way."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ulens as package
from brightness import make_bundle
from tiny_training import write_folder
from ulens.bundle import save_bundle
from ulens.cli import COMMANDS
from ulens.cli.summary import to_json
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.demo import DemoResult
from ulens.paper.compare import Compared
from ulens.paper.reproduce import Reproduced
from ulens.report.page import Table

ALWAYS = {"command", "ulens", "done", "error", "seconds", "warnings", "notes"}
OWN = {
    "annotate": {"project", "rounds"},
    "suggest": {"boxes"},
    "train": {"plan", "model", "report", "stopped", "scores", "provenance"},
    "inspect": {"num_pairs", "pairs"},
    "segment": {"out", "table", "images"},
    "evaluate": {"num_images", "scores", "per_image", "errors"},
    "describe": {"figure"},
    "export": {"written"},
    "doctor": {"found"},
    "datasets": {"datasets"},
    "demo": {"report", "models", "simulated", "scores"},
    "compare": {"page", "tables"},
    "reproduce": {"page", "table"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("cli"), steps=3)
    save_bundle(make_bundle(), folder / "a.model")
    shutil.copytree(folder / "labels", folder / "predicted")
    return folder


@pytest.fixture
def lines(folder, tmp_path, monkeypatch):
    """A command line for each command; of the long ones only what they show at the end is made."""
    table = Table(header=["what"], rows=[[math.nan]])
    ended = {
        "demo.run_demo": DemoResult(
            report=Path("r.html"), models=[], simulated=[], scores={"cells": {"Dice": math.nan}}
        ),
        "paper.run_comparison": Compared(page=Path("c.html"), outcomes=[], redundancy=None),
        "paper.run_reproduction": Reproduced(table=table, notes=["so"], page=Path("p.html")),
    }
    for name, event in ended.items():
        monkeypatch.setattr(f"ulens.cli.{name}", lambda *_, event=event: iter([event]))
    monkeypatch.setattr("ulens.cli.annotate._run", lambda _: None)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr("ulens.cli.paper.fetch_data", lambda _: iter([]))
    monkeypatch.setattr(Compared, "tables", {"scores": table})
    pairs = folder / "images", folder / "labels"
    return {
        "annotate": (folder / "images",),
        "suggest": (folder / "a.model", folder / "images", "--size", "8"),
        "train": (*pairs, "-o", tmp_path / "m", "--plan", folder / "plan.json"),
        "inspect": pairs,
        "segment": (folder / "a.model", folder / "images", "-o", tmp_path / "masks"),
        "evaluate": (folder / "labels", folder / "predicted"),
        "describe": ("paper", "-o", tmp_path / "figure.svg"),
        "export": (folder / "a.model", "-o", tmp_path / "a.onnx"),
        "doctor": (),
        "datasets": (),
        "demo": (),
        "compare": (*pairs, "-o", tmp_path / "compare"),
        "reproduce": ("isbi2012", "-o", tmp_path / "reproduced"),
    }


def read(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_what_came_out(ulens, lines, tmp_path, command):
    path = tmp_path / "summary.json"
    status, out, err = ulens(command, *lines[command], "--json", path)
    assert status == 0, err
    told = read(path.read_text("ascii"))
    assert told.keys() >= ALWAYS | OWN[command]
    assert (told["command"], told["ulens"]) == (command, package.__version__)
    assert (told["done"], told["error"]) == (True, None)
    assert out  # the terminal is told as before
    assert list(tmp_path.glob("*.new")) == []


def test_what_is_told_of_a_segmentation(ulens, lines, folder, tmp_path):
    ulens("segment", *lines["segment"], "--json", tmp_path / "s.json")
    told = read((tmp_path / "s.json").read_text())
    assert told["out"] == str(tmp_path / "masks")
    assert [each["image"] for each in told["images"]] == [
        str(path) for path in sorted((folder / "images").iterdir())
    ]
    for each in told["images"]:
        assert [Path(path).is_file() for path in each["written"]] == [True]
        assert 0 < each["found"]["foreground"] < 1
        assert each["error"] is None


def test_on_standard_output_there_is_nothing_else(lines, tmp_path):
    arguments = ["-m", "ulens", "segment", *map(str, lines["segment"]), "--json", "-"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert read(done.stdout)["command"] == "segment"
    assert b"segmentations in" in done.stderr


def test_a_failure_is_told_and_its_summary_may_be_replaced(ulens, lines, folder, tmp_path):
    path = tmp_path / "s.json"
    bad = tmp_path / "images"
    bad.mkdir()
    (bad / "bad.tif").write_bytes(b"II*\0 not an image")
    write_tiff(bad / "good.tif", Image(data=np.eye(40, dtype=np.uint8), axes="YX"))
    run = ("segment", folder / "a.model", bad, "-o", tmp_path / "masks", "--json", path)
    status, _, err = ulens(*run)
    assert status == 1
    told = read(path.read_text())
    assert told["done"] is False
    assert "1 of 2 images could not be segmented" in told["error"]
    assert [each["error"] is None for each in told["images"]] == [False, True]
    (bad / "bad.tif").unlink()
    assert ulens(*run)[0] == 0
    assert read(path.read_text())["done"] is True
    status, _, err = ulens(*run)
    assert (status, "s.json exists" in err) == (1, True)
    assert ulens(*run, "--overwrite")[0] == 0


@pytest.mark.parametrize("held", ["precious", '{"done": false}', "[1]", "{"])
def test_a_file_that_is_no_summary_is_kept(ulens, lines, tmp_path, held):
    (tmp_path / "s.json").write_text(held)
    status, _, err = ulens("inspect", *lines["inspect"], "--json", tmp_path / "s.json")
    assert (status, "s.json exists" in err) == (1, True)
    assert (tmp_path / "s.json").read_text() == held


def test_an_option_is_no_name_of_a_file(ulens, lines):
    status, _, err = ulens("inspect", *lines["inspect"], "--json", "--frames")
    assert (status, "json is --frames; give the name" in err) == (1, True)


def test_an_interrupt_is_told(ulens, lines, tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ulens.cli.inspect.run_inspection", interrupted)
    status, _, _ = ulens("inspect", *lines["inspect"], "--json", tmp_path / "s.json")
    assert status == 130
    assert read((tmp_path / "s.json").read_text())["error"] == "interrupted"


def test_any_value_becomes_json():
    odd = {Path("a"): [math.inf, np.float32("nan"), np.bool_(True)], "µ\udcff": (np.arange(2), {1})}
    assert read(to_json(odd)) == {"a": [None, None, True], "µ\udcff": [[0, 1], [1]]}
    assert to_json(odd).isascii()
