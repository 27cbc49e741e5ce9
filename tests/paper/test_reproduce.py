import io
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from raw_names import find_raw_names
from tiny_training import squares
from ulens.errors import FileError, OutputError, SettingError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.datasets import Ready, Terms
from ulens.paper import reproduce
from ulens.paper.reproduce import Reproduced, ReproduceSettings, fetch_data, run_reproduction
from ulens.paper.tables import PAPER_TABLES, find_table
from ulens.training.trainer import StepLog
from ulens.training.validate import Prediction
from web import Server


def settings_for(folder, data, **changes):
    values = {
        "name": "isbi2012",
        "out": folder / "out",
        "data": data,
        "steps": 2,
        "width": 1,
        "device": "cpu",
    }
    return ReproduceSettings(**{**values, **changes})


def membranes(folder):
    """20 slices in the folders train/image and train/label."""
    for kind in ("image", "label"):
        (folder / "train" / kind).mkdir(parents=True)
    for k in range(20):
        image, label = squares(k)
        for kind, plane in (("image", image), ("label", 255 - label)):
            write_tiff(folder / "train" / kind / f"{k:02d}.tif", Image(data=plane, axes="YX"))
    return folder


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced")
    data = membranes(folder / "isbi2012")
    settings = settings_for(folder, data)
    fetched = list(fetch_data(settings))
    return folder, fetched, list(run_reproduction(settings))


def test_the_data_are_used_where_they_are(reproduced):
    folder, fetched, _ = reproduced
    assert [type(event) for event in fetched] == [Terms, Ready]
    train = folder / "isbi2012" / "train"
    assert fetched[-1].paths == [train / "image", train / "label"]


def test_our_values_stand_beside_the_papers_and_both_sets_are_named(reproduced):
    _, _, events = reproduced
    result = events[-1]
    assert isinstance(result, Reproduced)
    assert result.table.header == (
        "who", "scored on", "warping error", "Rand error", "pixel error",
    )  # fmt: skip
    ours, human, unet, *_ = result.table.rows
    assert ours[:2] == ("ulens", "slices 15-19 of the training stack")
    assert all(0 <= float(value) <= 1 for value in ours[2:])
    assert human[2:] == ("0.000005", "0.0021", "0.0010")
    assert unet == (
        "u-net", "the hidden test stack, board of 6 March 2015", "0.000353", "0.0382", "0.0611",
    )  # fmt: skip


def test_every_choice_that_the_paper_leaves_open_is_noted(reproduced):
    folder, _, events = reproduced
    notes = "\n".join(events[-1].notes)
    for what in (
        "learning rate", "at the start", "later", "weight decay", "limit of a step",
        "weights that are kept", "arithmetic", "weight of the classes", "deepest signals",
        "shapes are varied", "grey values are varied",
    ):  # fmt: skip
        assert f"\n{what}: " in notes
    assert "whether to mirror" in notes
    assert find_raw_names(notes) == []
    assert "grey values are normalised" in notes
    assert "which is not the paper's test" in notes
    assert "width 1, 2 steps" in notes
    page = (folder / "out" / "reproduce.html").read_text(encoding="utf-8")
    assert "0.000353" in page
    assert "the paper does not say" in page
    record = json.loads((folder / "out" / "reproduce.json").read_text())
    assert record["ours"].keys() == record["paper"]["u-net"].keys()


def test_a_model_that_is_trained_is_scored_again_but_not_trained(reproduced):
    folder, _, _ = reproduced
    settings = settings_for(folder, folder / "isbi2012", resume=True)
    events = list(run_reproduction(settings))
    assert not any(isinstance(event, StepLog) for event in events)
    assert isinstance(events[-1], Reproduced)


def test_an_output_that_exists_is_refused_before_anything_is_fetched(reproduced):
    folder, _, _ = reproduced
    with pytest.raises(OutputError, match="go on there with --resume"):
        list(fetch_data(settings_for(folder, folder / "isbi2012")))


def test_cells_are_scored_by_seg(tmp_path, monkeypatch):
    data = tmp_path / "DIC-C2DH-HeLa"
    truth = data / "01_GT" / "SEG"
    truth.mkdir(parents=True)
    (data / "01").mkdir()
    for k in (0, 1, 54):
        image, label = squares(k, size=128)
        write_tiff(data / "01" / f"t{k:03d}.tif", Image(data=image, axes="YX"))
        cells = (label > 0).astype(np.uint16)
        cells[56:72, 56:72] = 1  # something in the field of interest
        write_tiff(truth / f"man_seg{k:03d}.tif", Image(data=cells, axes="YX"))
    write_tiff(data / "01" / "t083.tif", Image(data=image, axes="YX"))  # the last, without truth
    silver = data / "01_ST" / "SEG"
    silver.mkdir(parents=True)
    write_tiff(data / "01" / "t060.tif", Image(data=image, axes="YX"))
    write_tiff(silver / "man_seg060.tif", Image(data=cells, axes="YX"))
    events = list(run_reproduction(settings_for(tmp_path, data, name="dic-hela", steps=1)))
    ours, unet, *_ = events[-1].table.rows
    assert ours[:2] == ("ulens", "frames 54-83 of training sequence 01")
    assert 0 <= float(ours[2]) <= 1
    assert unet[2] == "0.7756"
    assert any("an object starts where the probability" in note for note in events[-1].notes)
    assert find_raw_names("".join(events[-1].notes)) == []

    predicted = []

    def perfect(bundle, samples, device, **_):
        predicted.extend(sample.name for sample in samples)
        return [
            Prediction(sample=each, maps=np.zeros((2, *each.label.shape)), labels=each.label)
            for each in samples
        ]

    monkeypatch.setattr(reproduce, "predict_unseen", perfect)
    settings = settings_for(tmp_path, data, name="dic-hela", steps=1, resume=True)
    assert list(run_reproduction(settings))[-1].table.rows[0][2] == "1.0000"
    assert predicted == ["01/t054"]  # the frames with silver truth alone do not count


def test_a_model_of_other_images_is_not_taken_for_it(reproduced, tmp_path):
    folder, _, _ = reproduced
    shutil.copytree(folder / "out", tmp_path / "out")
    for k in range(20):
        name = f"train/image/{k:02d}.tif"
        (tmp_path / "isbi2012" / name).parent.mkdir(parents=True, exist_ok=True)
        write_tiff(tmp_path / "isbi2012" / name, Image(data=squares(k + 30)[0], axes="YX"))
    shutil.copytree(folder / "isbi2012/train/label", tmp_path / "isbi2012/train/label")
    settings = settings_for(tmp_path, tmp_path / "isbi2012", resume=True)
    with pytest.raises(SettingError, match="was trained on other images than those of isbi2012"):
        list(run_reproduction(settings))


def test_what_was_killed_before_the_first_save_begins_anew(reproduced, tmp_path):
    folder, _, _ = reproduced
    model = tmp_path / "out" / "model"
    model.mkdir(parents=True)
    shutil.copy(folder / "out" / "model" / "plan.json", model)
    settings = settings_for(tmp_path, folder / "isbi2012", resume=True)
    events = list(run_reproduction(settings))
    assert sum(isinstance(event, StepLog) for event in events) == 2


def test_a_reproduction_is_resumed_as_it_was_begun(reproduced, tmp_path):
    folder, _, _ = reproduced
    shutil.copytree(folder / "out", tmp_path / "out")
    settings = settings_for(tmp_path, folder / "isbi2012", resume=True, steps=None, width=None)
    assert not any(isinstance(event, StepLog) for event in run_reproduction(settings))
    longer = replace(settings, steps=3)
    assert sum(isinstance(event, StepLog) for event in run_reproduction(longer)) == 1
    with pytest.raises(SettingError, match="width is 5, the plan's is 1"):
        list(run_reproduction(replace(longer, steps=4, width=5)))


def test_the_data_set_is_fetched_into_the_folder(tmp_path, monkeypatch):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("train-volume.tif", "train-labels.tif"):
            packed.writestr(name, b"tiff")
    settings = settings_for(tmp_path, None, accept_terms=True, cache=tmp_path / "cache")
    with Server(data=archive.getvalue()) as server:
        local = replace(reproduce.find_dataset("ISBI2012"), url=server.url)
        monkeypatch.setattr(reproduce, "find_dataset", lambda _: local)
        ready = list(fetch_data(settings))[-1]
    assert ready.paths[0] == tmp_path / "out" / "ISBI2012" / "train-volume.tif"


def test_unknown_names_and_foreign_folders_are_refused(tmp_path):
    with pytest.raises(SettingError, match="choose of isbi2012, phc-u373, dic-hela"):
        find_table("hela")
    with pytest.raises(FileError, match="is no copy of ISBI2012"):
        list(fetch_data(settings_for(tmp_path, tmp_path)))


def test_the_tables_name_both_sets_and_never_call_ours_hidden():
    for table in PAPER_TABLES:
        assert "hidden" in table.paper_scored
        assert "hidden" not in table.ours_scored
        assert "u-net" in table.rows
