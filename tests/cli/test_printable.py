"""Nothing printed ends a run, whatever letters the terminal or the file knows."""

import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from brightness import make_bundle, make_image
from ulens.bundle import save_bundle

PLACES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "cp949": {"PYTHONIOENCODING": "cp949"},
    "C locale": {"LC_ALL": "C"},
}
ASCII_LOCALE = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}


def run(place, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "ulens", *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": "", **PLACES.get(place, ASCII_LOCALE)},
        capture_output=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert b"Traceback" not in told, told.decode("utf-8", "replace")
    return done.returncode, told


@pytest.mark.parametrize(
    "place", ["ASCII locale", *(pytest.param(place, marks=pytest.mark.slow) for place in PLACES)]
)
def test_names_and_units_are_printed_in_other_letters(tmp_path, place):
    folder = tmp_path / "세포 5 µm × 2 − 1"
    folder.mkdir()
    for name in ("café", "세포"):
        PIL.Image.fromarray(make_image(30, 40)).save(folder / f"{name}.png")
    (folder / "σ.png").write_bytes(b"no image")
    (folder / "옆.txt").touch()
    save_bundle(make_bundle(), tmp_path / "µ.model")
    out = tmp_path / "결과"
    status, told = run(place, "segment", tmp_path / "µ.model", folder, "-o", out)
    assert status == 1
    assert b"1 of 3 images could not be segmented, 2 were" in told
    assert sorted(path.name for path in out.glob("*.tif")) == ["café.tif", "세포.tif"]
    labels = tmp_path / "진실"
    labels.mkdir()
    for name in ("café", "세포"):
        mask = np.where(make_image(30, 40) > 100, 255, 0).astype(np.uint8)
        PIL.Image.fromarray(mask).save(labels / f"{name}.png")
    scores = tmp_path / "점수.json"
    status, told = run(place, "evaluate", labels, out, "--json", scores)
    assert status == 0
    assert scores.read_bytes().isascii() or "세포" in scores.read_text("utf-8")
    if place in ("ascii", "ASCII locale"):
        assert told.isascii()


def test_an_error_is_printed_too(tmp_path):
    status, told = run("ascii", "evaluate", "진실", tmp_path / "µ × −")
    assert status == 1
    assert b"u x - does not exist" in told
