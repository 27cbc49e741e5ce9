import dataclasses
import inspect
import json
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import tifffile

from raw_names import find_raw_names, text_of
from tiny_training import changed, squares, write_folder
from ulens import cli
from ulens.bundle import load_bundle, save_bundle
from ulens.cli.terminal import FEW_ROWS
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.jobs.demo import DemoResult
from ulens.jobs.options import FROM_PYTHON_ALONE
from ulens.jobs.segmenting import Finding, SegmentProgress
from ulens.planning.plan import read_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("cli"), steps=60)


@pytest.fixture(scope="module")
def model(folder):
    from ulens.jobs.planning import TrainSettings
    from ulens.jobs.train import run_training

    settings = TrainSettings(
        images=folder / "images",
        labels=folder / "labels",
        out=folder / "model",
        plan=folder / "plan.json",
    )
    list(run_training(settings))
    return folder / "model"


def test_train_tells_what_it_read_planned_and_scored(ulens, folder, tmp_path):
    status, out, _ = ulens(
        "train", folder / "images", folder / "labels", "-o", tmp_path / "m",
        "--plan", folder / "plan.json", "--frames", "0-5",
    )  # fmt: skip
    assert status == 0
    assert "6 label images hold {0, 255}: two classes, 255 = foreground" in out
    assert "held out for the score: 1 of 6 images (3)" in out
    assert "60 steps on cpu" in out
    assert "V_Rand" in out
    assert "report.html" in out


@pytest.mark.parametrize(
    "options",
    [
        ("--steps", 2),
        ("--steps", 2, "--labels-are", "instances"),
        ("--steps", 2, "--recipe", "paper"),
        ("--time", "1s"),
    ],
)
def test_a_training_is_told_in_words(ulens, folder, tmp_path, options):
    train = ("train", folder / "images", folder / "labels", "-o", tmp_path / "m", *options)
    status, planned, _ = ulens(*train, "--plan-only")
    assert status == 0
    plan = tmp_path / "m" / "plan.json"
    # as planned, but in no time
    plan.write_bytes(changed(read_plan(plan), width=2, depth=1, crop=34).to_bytes())
    status, out, _ = ulens(*train, "--plan", plan)
    assert status == 0
    assert "what is learned: " in out
    assert find_raw_names((planned + out).replace(str(tmp_path), "")) == []
    page = text_of((tmp_path / "m" / "report.html").read_text(encoding="utf-8"))
    assert "How it was trained: the learning" in page
    assert "Every number stands in plan.json" in page
    assert find_raw_names(page) == []


def test_the_demo_ends_with_what_was_made_and_what_to_do_next(ulens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = DemoResult(
        report=Path("demo/report.html"),
        models=[Path("demo/cells.model")],
        simulated=[Path("demo/cells")],
        scores={"cells": {"Dice": 0.5}},
    )
    monkeypatch.setattr("ulens.cli.demo.run_demo", lambda *_, **__: iter([made]))
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv" / "bin" / "python"))
    _, out, _ = ulens("demo")
    assert "made in demo:\n  report.html: scores and pictures; open it" in out
    assert "  cells.model: a trained model" in out
    assert "  cells: the simulated images, with their labels" in out
    program = Path(".venv", "bin", "ulens")
    assert f"  {program} train my_images/ my_labels/ --time 20min -o my.model" in out
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/ulens")
    _, out, _ = ulens("demo")
    lines = [line.split()[1:] for line in out.splitlines() if line.startswith("  ulens ")]
    assert [line[0] for line in lines] == ["train", "segment"]
    for line in lines:
        cli.app.parse_args(line, print_error=False, exit_on_error=False)


def test_segment_then_evaluate(ulens, folder, model, tmp_path):
    masks = tmp_path / "masks"
    status, out, _ = ulens("segment", model, folder / "images", "-o", masks, "--probabilities")
    assert status == 0
    assert "7 segmentations in" in out
    assert set(np.unique(read_image(masks / "0.tif").data)) <= {0, 255}
    json_file = tmp_path / "scores.json"
    status, out, _ = ulens("evaluate", folder / "labels", masks, "--json", json_file)
    assert status == 0
    assert "V_Rand" in out or "v_rand" in out
    assert json.loads(json_file.read_text())["num_images"] == 7
    status, _, err = ulens("evaluate", folder / "labels", masks, "--json", json_file)
    assert status == 1
    assert "exists" in err


def test_segment_writes_outlines_and_refuses_a_table_of_classes(ulens, folder, model, tmp_path):
    out = tmp_path / "masks"
    status, _, _ = ulens("segment", model, folder / "images", "-o", out, "--rois", "geojson")
    assert status == 0
    assert len(list(out.glob("*.geojson"))) == 7
    table = ("--table", tmp_path / "objects.csv")
    status, _, err = ulens("segment", model, folder / "images", "-o", tmp_path / "new", *table)
    assert status == 1
    assert "finds classes, no single objects" in err


def test_segment_tells_that_images_are_resampled(ulens, model, tmp_path):
    bundle = replace(load_bundle(model), spacing_um=(0.5, 0.5))
    save_bundle(bundle, tmp_path / "m")
    image = Image(data=squares(1)[0], axes="YX", spacing_um=(0.25, 0.25))
    (tmp_path / "images").mkdir()
    write_tiff(tmp_path / "images" / "fine.tif", image)
    status, out, _ = ulens("segment", tmp_path / "m", tmp_path / "images", "-o", tmp_path / "out")
    assert status == 0
    assert "images with 0.25 µm per pixel are resampled by 0.5, to the 0.5 µm at which" in out


def test_names_that_look_like_markup_are_printed_as_they_are(ulens, folder, model, tmp_path):
    masks = tmp_path / "[red]µ [/q"
    status, out, _ = ulens("segment", model, folder / "images", "-o", f"{masks}]")
    assert status == 0
    assert f"7 segmentations in {masks}]" in out
    status, out, _ = ulens("evaluate", folder / "labels", f"{masks}]")
    assert status == 0


def test_one_image_is_segmented_into_one_file(ulens, folder, model, tmp_path):
    image, out_file = folder / "images" / "0.tif", tmp_path / "labels.tif"
    status, out, _ = ulens("segment", model, image, "-o", out_file, "--axes", "YX")
    assert status == 0
    assert "40×40 pixels (YX) in 1 block" in out
    ulens("segment", model, image, "-o", tmp_path / "masks")
    expected = read_image(tmp_path / "masks" / "0.tif").data
    np.testing.assert_array_equal(read_image(out_file).data, expected)


def test_segment_tells_what_it_found_in_each_of_a_few_images(ulens, folder, model, tmp_path):
    run = ("segment", model, folder / "images", "-o", tmp_path / "masks")
    _, out, _ = ulens(*run)
    assert re.search(r"^3\.tif: foreground \d+\.\d%$", out, re.MULTILINE)
    _, out, _ = ulens(*run)
    assert re.search(r"^3\.tif: foreground \d+\.\d%, kept$", out, re.MULTILINE)
    assert "kept 7 of 7, which the same model and options made before" in out


def found(number, num_images, num_objects):
    return SegmentProgress(
        image=Path(f"{number}.tif"),
        number=number,
        num_images=num_images,
        written=(Path("out"),),
        found=Finding(num_objects=num_objects),
    )


def test_many_images_without_objects_are_counted_at_the_end(ulens, model, tmp_path, monkeypatch):
    events = [found(number, 30, number % 10) for number in range(1, 31)]
    monkeypatch.setattr("ulens.cli.segment.run_segmentation", lambda _: iter(events))
    _, out, _ = ulens("segment", model, tmp_path, "-o", tmp_path / "masks")
    assert "0 objects in 3 of 30 images: 10.tif, 20.tif, 30.tif" in out
    assert "5.tif: 5 objects" not in out


def test_without_a_terminal_a_line_tells_now_and_then_how_far_it_is(
    ulens, model, tmp_path, monkeypatch
):
    events = [found(number, 30, 1) for number in range(1, 31)]
    monkeypatch.setattr("ulens.cli.segment.run_segmentation", lambda _: iter(events))
    times = iter(range(0, 10_000, 11))  # seconds
    monkeypatch.setattr("ulens.cli.terminal.clock.monotonic", lambda: next(times))
    _, out, _ = ulens("segment", model, tmp_path, "-o", tmp_path / "masks")
    told = re.findall(r"^segmenting (\d+)/30 \d+\.tif, \d+% done$", out, re.MULTILINE)
    assert 2 < len(told) <= 10
    assert told == sorted(set(told), key=int)


def test_ctrl_c_tells_what_is_done(ulens, model, tmp_path, monkeypatch):
    def interrupted():
        yield found(1, 3, 4)
        raise KeyboardInterrupt

    monkeypatch.setattr("ulens.cli.segment.run_segmentation", lambda _: interrupted())
    status, out, err = ulens("segment", model, tmp_path, "-o", tmp_path / "masks")
    assert (status, err) == (130, "interrupted\n")
    assert "stopped; 1 of 3 images are done and lie in" in out
    assert "the same command goes on from there" in out


def test_suggest_ranks_boxes(ulens, folder, model, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    run = ("suggest", model, folder / "images", "--number", 3, "--size", 12)
    status, out, _ = ulens(*run)
    assert status == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    rows = [row for row in rows if row]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    for _, image, *box, uncertainty in rows:
        assert (folder / "images" / image).is_file()
        x, y, width, height = map(int, box)
        assert (width, height) == (12, 12)
        assert 0 <= min(x, y) <= max(x, y) <= 28
        assert 0 <= float(uncertainty) <= 1
    assert "least certain" in out


def test_suggest_names_planes_and_folders_where_needed(ulens, model, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    stack = np.stack([squares(seed)[0] for seed in range(2)])
    for each in "ab":
        (tmp_path / each).mkdir()
        write_tiff(tmp_path / each / "1.tif", Image(data=stack, axes="ZYX"))
    status, out, _ = ulens("suggest", model, tmp_path / "a", tmp_path / "b", "--size", 20)
    assert status == 0
    for each in "ab":
        assert f" {each}/1.tif " in out.replace(os.sep, "/")
    assert {"z000", "z001"} <= set(out.split())


def test_suggest_tells_where_there_is_nothing_to_draw(ulens, model, tmp_path):
    write_tiff(tmp_path / "1.tif", Image(data=np.full((40, 40), 7, np.uint8), axes="YX"))
    status, out, _ = ulens("suggest", model, tmp_path / "1.tif")
    assert status == 0
    assert "no box: all images are empty" in out


def test_inspect_shows_every_pair_and_trains_nothing(ulens, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    status, out, _ = ulens("inspect", folder / "images", folder / "labels")
    assert status == 0
    rows = [line.split("│")[1:-1] for line in out.splitlines() if "tif" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        [f"{i}.tif", f"{i}.tif", "40×40", "YX", "1", "classes 0, 255"] for i in range(7)
    ]
    assert "7 label images hold {0, 255}: two classes, 255 = foreground" in out


def test_train_shows_the_first_pairs_before_it_plans(ulens, tmp_path):
    folder = write_folder(tmp_path, number=FEW_ROWS + 5)
    run = ("train", folder / "images", folder / "labels", "-o", tmp_path / "m")
    _, out, _ = ulens(*run, "--steps", 2, "--plan-only")
    table = out.split("plan: ")[0]
    assert sum(line.count(".tif") == 2 for line in table.splitlines()) == FEW_ROWS
    assert "… and 5 more; ulens inspect shows all" in table


def test_a_plan_alone_is_no_model(ulens, folder, tmp_path):
    out = tmp_path / "planned"
    status, text, _ = ulens("train", folder, "--plan-only", "--steps", 5, "-o", out)
    assert status == 0
    assert f"plan {out / 'plan.json'}; change it and train with --plan" in text
    assert "how good it is" not in text


def test_ctrl_c_before_the_first_step_ends_as_any_interrupt_does(
    ulens, folder, tmp_path, monkeypatch
):
    @contextmanager
    def stopped_at_once():
        stop = threading.Event()
        stop.set()
        yield stop

    monkeypatch.setattr("ulens.cli.train.training_process", stopped_at_once)
    status, _, err = ulens("train", folder, "--steps", 5, "-o", tmp_path / "m")
    assert (status, err) == (130, "interrupted\n")
    assert not (tmp_path / "m").exists()


def test_a_broken_image_is_named_and_the_others_are_segmented(ulens, folder, model, tmp_path):
    images = tmp_path / "new"
    images.mkdir()
    write_tiff(images / "good.tif", Image(data=squares(1)[0], axes="YX"))
    (images / "broken.tif").write_bytes(b"II*\0 not an image")
    status, out, err = ulens("segment", model, images, "-o", tmp_path / "masks")
    assert status == 1
    assert "broken.tif" in out + err
    assert (tmp_path / "masks" / "good.tif").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere", "-o", "m"), "nowhere"),
        (("train", "nowhere", "-o", "m", "--time", "20"), "write it like 20min"),
        (("segment", "nowhere", "images", "-o", "masks"), "does not exist"),
        (("segment", "m", "a", "-o", "a.zarr", "--track"), "track came with out a.zarr, a file"),
        (
            ("segment", "m", "a", "-o", "masks", "--workers", "2"),
            "workers came with out masks, a folder",
        ),
        (("describe", "resnet"), "neither a model folder nor a recipe"),
        (("describe", "paper", "-o", "nowhere/figure.svg"), "cannot be written"),
        (("evaluate", "a", "b", "--json", "nowhere/a.json"), "there is no folder nowhere"),
        (("train", "nowhere", "-o", "m", "--seed", "-1"), "seed is -1"),
        (("train", "nowhere", "-o", "m", "--axes", "XX"), "axes are 'XX'; need Y and X"),
        (("evaluate", "a", "b", "--axes", "ZZYX"), "axes are 'ZZYX'; need Y and X"),
    ],
)
def test_mistakes_end_with_a_message_and_without_a_traceback(
    ulens, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    status, _, err = ulens(*arguments)
    assert status in (1, 2)  # 2: of an option that cannot be read
    assert message in in_one_line(err)
    assert "Traceback" not in err


def in_one_line(text):
    """Undo the frame and the line breaks that an error about an option has."""
    return " ".join(text.replace("│", " ").split())


def test_describe_draws_the_network_and_tells_a_models_scores(ulens, model, tmp_path):
    status, out, _ = ulens("describe", "paper", "-o", tmp_path / "figure.svg")
    assert status == 0
    assert "31,030,658 parameters" in out
    assert "572" in (tmp_path / "figure.svg").read_text()
    status, out, _ = ulens("describe", model)
    assert status == 0
    assert "held-out Dice" in out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_is_explained(ulens, command):
    status, out, _ = ulens(command, "--help")
    assert status == 0
    module = "paper" if command in ("compare", "reproduce") else command
    function = getattr(import_module(f"ulens.cli.{module}"), command)
    names, text = list(inspect.signature(function).parameters), function.__doc__
    if "settings" in names:
        names.remove("settings")
        settings = get_type_hints(function)["settings"]
        hints = get_type_hints(settings, include_extras=True)
        fields = [field.name for field in dataclasses.fields(settings)]
        names += [name for name in fields if FROM_PYTHON_ALONE not in get_args(hints[name])]
        text = "\n".join([text, *(kind.__doc__ or "" for kind in settings.__mro__)])
    assert "json" in names
    for name in names:
        explained = re.search(rf"^    {name}\n        (\w.+)$", text, re.M)
        assert explained is not None, name
        assert explained[1].split()[0] in out


def test_compare_refuses_before_it_trains(ulens, folder, tmp_path):
    paths = [folder / "images", folder / "labels", "-o", tmp_path / "compare"]
    status, _, err = ulens("compare", *paths, "--nets", "unet,resnet")
    assert status == 1
    assert "there is no network 'resnet'" in err
    status, _, err = ulens("compare", *paths, "--windows", "big")
    assert status == 2
    assert "write sides such as 33,65, or none" in in_one_line(err)
    assert not (tmp_path / "compare").exists()


def test_reproduce_knows_its_tables_and_fetches_nothing_without_consent(ulens, tmp_path):
    status, _, err = ulens("reproduce", "hela", "-o", tmp_path / "out")
    assert status == 1
    assert "choose of isbi2012, phc-u373, dic-hela" in err
    status, out, err = ulens("reproduce", "isbi2012", "-o", tmp_path / "out")
    assert status == 1
    assert "Cardona" in out
    assert "--accept-terms" in err


def test_what_takes_much_memory_is_a_line_without_its_place_in_the_code(ulens, tmp_path):
    path, side = tmp_path / "large.tif", 30_000
    tifffile.imwrite(path, bytearray(side), shape=(1, side), dtype="uint8", compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(side)
        tif.pages[0].tags["RowsPerStrip"].overwrite(side)
        tif.pages[0].tags["StripByteCounts"].overwrite(10**6)
    with path.open("r+b") as file:
        file.truncate(2 * 10**6)  # zlib could make as many pixels of these
    other = tmp_path / "other.tif"
    other.write_bytes(path.read_bytes())
    _, out, _ = ulens("evaluate", path, other)
    assert re.search(r"^note: .*tif of 30000×30000 pixels takes about 2.2 GB of", out, re.M)
    assert "need.py" not in out
