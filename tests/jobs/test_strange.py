import csv
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr

import ulens
from brightness import events_of, make_bundle, make_cells
from ulens.appearance import familiarize
from ulens.bundle import load_bundle, save_bundle
from ulens.cli import segment as command
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.jobs.segmenting import SegmentSettings
from ulens.jobs.strange import ONE_BY_ONE, Strange
from ulens.predict.unlike import Unlike, in_one_line, join_planes

BLUR, EMPTY = Unlike("blur", "blurred: check the focus"), Unlike("empty", "nearly empty")
INVERTED = "inverted contrast: what is bright in training is dark here; invert the grey values"


def cells(seed=0):
    return make_cells(96, 96, seed=seed)


@pytest.fixture
def model(tmp_path):
    """A model that knows bright cells on a dark ground."""
    bundle = make_bundle(labels_are="instances", decoding={"threshold": 0.5, "min_area_px": 4})
    images = [bundle.normalization.apply(cells(seed)[None]) for seed in range(8)]
    familiar = familiarize(((image, np.eye(96, dtype=int)) for image in images), is_instances=False)
    save_bundle(replace(bundle, familiar=familiar), tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in (("dark", 255 - cells(9)), ("plain", cells(10))):
        write_tiff(folder / f"{name}.tif", Image(data=data, axes="YX"))
    return folder


def test_python_warns_of_them(model, images, tmp_path):
    known = ulens.load(model)
    dark, plain = (read_image(images / f"{name}.tif") for name in ("dark", "plain"))
    about_dark = r"dark\.tif: inverted contrast"
    for work in (known.segment, known.predict):
        with pytest.warns(ulens.UnlikeTrainingWarning, match=about_dark) as found:
            work(dark)
        assert found[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            work(plain)
    stack = Image(data=np.stack([dark.data, plain.data]), axes="ZYX")
    with pytest.warns(ulens.UnlikeTrainingWarning, match=r"image: inverted .*\(1 of 2 planes\)"):
        known.segment(stack)
    with pytest.warns(ulens.UnlikeTrainingWarning, match=about_dark) as found:
        ulens.segment(model, images, tmp_path / "out")
    assert [warning.filename for warning in found] == [__file__]


def test_a_model_that_knows_no_images_says_that_it_cannot_warn(model, images, tmp_path):
    save_bundle(replace(load_bundle(model), familiar=None), tmp_path / "old")
    for folder, number in ((model, 0), (tmp_path / "old", 1)):
        out = tmp_path / f"of {folder.name}"
        notes = [event.note for event in events_of(folder, images, out)]
        assert sum("cannot warn of images unlike" in (note or "") for note in notes) == number


def test_planes_are_counted():
    joined = join_planes([(BLUR,), (), (EMPTY, BLUR)])
    assert in_one_line(joined) == (
        "blurred: check the focus (2 of 3 planes); nearly empty (1 of 3 planes)"
    )
    assert join_planes([(BLUR,)]) == (BLUR,)


def test_few_images_get_a_line_each():
    strange = Strange(ONE_BY_ONE)
    assert strange.tell("a.tif", ()) is None
    assert strange.tell("b.tif", (BLUR, EMPTY)) == "b.tif: blurred: check the focus; nearly empty"
    assert strange.sum_up() == []


def test_many_images_are_summed_up():
    strange = Strange(ONE_BY_ONE + 1)
    for name, unlike in (("a", (EMPTY,)), ("b", (BLUR,)), ("c", (BLUR,)), ("d", ())):
        assert strange.tell(name, unlike) is None
    assert strange.sum_up() == [
        "2 of 21 images (b, c): blurred: check the focus",
        "1 of 21 images (a): nearly empty",
    ]


def test_a_strange_image_is_told_of_in_events_files_and_table(model, images, tmp_path):
    table = tmp_path / "objects.csv"
    events = list(events_of(model, images, tmp_path / "out", table=table))
    told = {event.image.stem: in_one_line(event.unlike) for event in events if event.written}
    assert told == {"dark": INVERTED, "plain": ""}
    for name, warning in told.items():
        with tifffile.TiffFile(tmp_path / "out" / f"{name}.tif") as tif:
            assert warning in tif.ome_metadata
            assert ("Description" in tif.ome_metadata) == bool(warning)
    with table.open(encoding="utf-8", newline="") as file:
        rows = {(row["image"], row["warning"]) for row in csv.DictReader(file)}
    assert rows == {("dark.tif", INVERTED), ("plain.tif", "")}


def test_the_terminal_names_the_image(model, images, tmp_path, capsys):
    command.segment(SegmentSettings(model, images, out=tmp_path / "out"))
    shown = capsys.readouterr().out.splitlines()
    assert f"dark.tif: {INVERTED}" in shown
    (plain,) = (line for line in shown if line.startswith("plain.tif:"))
    assert plain.endswith(" objects")  # and no word of doubt


def test_tracking_tells_of_strange_frames(model, tmp_path):
    frames = np.stack([cells(1), 255 - cells(1)])
    write_tiff(tmp_path / "film.tif", Image(data=frames, axes="TYX"))
    events = events_of(model, tmp_path / "film.tif", tmp_path / "out", track=True)
    told = [in_one_line(event.unlike) for event in events if getattr(event, "unlike", ())]
    assert told == [INVERTED]


@pytest.mark.parametrize("name", ["out.zarr", "out.tif"])
def test_a_large_image_keeps_the_warning(model, tmp_path, name):
    stack = np.stack([255 - cells(9), cells(10)])
    write_tiff(tmp_path / "in.tif", Image(data=stack, axes="ZYX"))
    small = {"block_px": 32, "halo_px": 8, "device": "cpu"}
    events = list(events_of(model, tmp_path / "in.tif", tmp_path / name, **small))
    warning = f"{INVERTED} (1 of 2 planes)"
    assert in_one_line(events[-1].unlike) == warning
    if name == "out.zarr":
        assert zarr.open_group(tmp_path / name, mode="r").attrs["ulens"]["warning"] == warning
    else:
        with tifffile.TiffFile(tmp_path / name) as tif:
            assert warning in tif.ome_metadata


def test_a_large_image_without_objects_says_so(model, tmp_path):
    write_tiff(tmp_path / "in.tif", Image(data=np.full((96, 96), 7, np.uint8), axes="YX"))
    small = {"block_px": 32, "halo_px": 8, "device": "cpu"}
    *_, last = events_of(model, tmp_path / "in.tif", tmp_path / "out.tif", **small)
    assert [each.kind for each in last.unlike] == ["empty", "one class only"]


def test_older_models_give_no_warnings(model, images, tmp_path):
    save_bundle(replace(load_bundle(model), familiar=None), tmp_path / "old")
    events = list(events_of(tmp_path / "old", images, tmp_path / "out"))
    assert not any(event.unlike for event in events)
    assert read_image(tmp_path / "out" / "dark.tif").data.max() > 0


def test_a_model_that_was_hardly_trained_says_so_at_its_use(model, images, tmp_path):
    untrained = replace(load_bundle(model), provenance={"scored_at_step": None, "steps": 3})
    save_bundle(untrained, tmp_path / "new")
    for out in ("out", "out.tif"):
        source = images if out == "out" else images / "dark.tif"
        notes = [event.note for event in events_of(tmp_path / "new", source, tmp_path / out)]
        doubts = [note for note in notes if note and note.startswith("expect little of this model")]
        assert doubts == [
            "expect little of this model: it has no score yet: its training was cut off, or goes "
            "on, at step 3"
        ]
