import re

import numpy as np
import pytest

from tiny_training import write_folder
from ulens.errors import DataError, OutputError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.demo import DemoResult, DemoSettings, free_folder, run_demo
from ulens.jobs.train import Trained


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo"
    return out, list(run_demo(DemoSettings(out=out, seconds=1)))


def test_the_demo_trains_segments_unseen_images_and_scores_them(told):
    out, events = told
    assert sum(isinstance(event, Trained) for event in events) == 2
    result = events[-1]
    assert isinstance(result, DemoResult)
    assert set(result.scores) == {"membranes", "cells"}
    assert {"AP@0.5", "AP@0.5 of Otsu + components"} <= set(result.scores["cells"])
    assert {"V_Rand", "V_Info"} <= set(result.scores["membranes"])
    assert result.report == out / "report.html"
    assert [path.name for path in result.models] == ["membranes.model", "cells.model"]
    assert [path.name for path in result.simulated] == ["membranes", "cells"]
    assert all(path.exists() for path in (result.report, *result.models, *result.simulated))
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_each_story_and_stands_alone(told):
    out, _ = told
    page = (out / "report.html").read_text(encoding="utf-8")
    for word in ("membranes", "cells", "truth", "probability", "segmentation"):
        assert word in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_simulation_is_hard_without_learning(told):
    _, events = told
    assert events[-1].scores["cells"]["AP@0.5 of Otsu + components"] <= 0.6


def test_a_folder_in_the_way_is_not_touched(told):
    out, _ = told
    with pytest.raises(OutputError, match="--overwrite"):
        list(run_demo(DemoSettings(out=out, seconds=1)))


def test_the_same_story_on_the_users_images(tmp_path):
    folder = write_folder(tmp_path / "mine")
    events = list(run_demo(DemoSettings(out=tmp_path / "demo", data=folder, seconds=1)))
    assert set(events[-1].scores) == {"mine"}
    assert events[-1].models == [tmp_path / "demo" / "mine.model"]
    assert events[-1].simulated == []
    assert set(events[-1].scores["mine"]) >= {"mean IoU", "Dice"}


def test_one_image_is_too_few_for_the_demo(tmp_path):
    folder = write_folder(tmp_path / "mine", number=1)
    with pytest.raises(DataError, match="needs 2"):
        list(run_demo(DemoSettings(out=tmp_path / "demo", data=folder, seconds=1)))


def test_a_class_that_only_unseen_images_hold_is_named(tmp_path):
    folder = write_folder(tmp_path / "mine")
    label = np.zeros((40, 40), np.uint8)
    label[:, :20], label[:, 30:] = 100, 255
    write_tiff(folder / "labels" / "3.tif", Image(data=label, axes="YX"))
    with pytest.raises(DataError, match="the others lack label value 100; annotate more"):
        list(run_demo(DemoSettings(out=tmp_path / "demo", data=folder, seconds=1)))
    assert not (tmp_path / "demo").exists()


def test_unseen_images_may_lack_a_class(tmp_path):
    folder = write_folder(tmp_path / "mine", number=5)
    write_tiff(folder / "labels" / "3.tif", Image(data=np.zeros((40, 40), np.uint8), axes="YX"))
    *_, result = run_demo(DemoSettings(out=tmp_path / "demo", data=folder, seconds=1))
    assert "mean IoU" in result.scores["mine"]


@pytest.mark.parametrize(("name", "message"), [("a", "is a file"), ("a/b", "cannot be made")])
def test_an_output_that_is_no_folder_is_refused(tmp_path, name, message):
    (tmp_path / "a").touch()
    with pytest.raises(OutputError, match=message):
        list(run_demo(DemoSettings(out=tmp_path / name, seconds=1)))


def test_the_first_free_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert free_folder("demo").name == "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert free_folder("demo").name == "demo-3"
