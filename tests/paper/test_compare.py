import json
import re
import shutil
import threading
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from imageio.v3 import imread
from skimage.measure import label as connected_components

from tiny_training import changed, squares, write_folder
from ulens.annotated.unseen import divide
from ulens.cli.terminal import show_table
from ulens.errors import DataError, OutputError, SettingError, TrainingError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.io.reading import Reading
from ulens.jobs.inspect import InspectSettings
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import Message, Trained
from ulens.paper import contenders
from ulens.paper import measures as comparison_measures
from ulens.paper.compare import Compared, find_border, run_comparison
from ulens.paper.contenders import (
    CLEARLY_BETTER,
    DIVERGED,
    best_rate,
    list_contenders,
    parse_windows,
    train_by_plan,
)
from ulens.paper.plans import CompareSettings, training_settings
from ulens.paper.report import name_rates
from ulens.planning.plan import read_plan
from ulens.predict.timing import time_patchwise
from ulens.training.trainer import StepLog

NETS = ("unet", "sliding-window")


def settings_for(folder, **changes):
    values = {
        "images": folder / "images",
        "labels": folder / "labels",
        "out": folder / "compare",
        "nets": NETS,
        "windows": (),
        "steps": 10,
        "width": 1,
        "device": "cpu",
    }
    return CompareSettings(**{**values, **changes})


@pytest.fixture(autouse=True, scope="module")
def _small_timing():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison_measures, "SIDE_PX", 40)
        patch.setattr(comparison_measures, "time_patchwise", partial(time_patchwise, part_px=2))
        yield


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("compared"), number=4)
    return folder, list(run_comparison(settings_for(folder)))


@pytest.mark.parametrize(
    ("name", "asked", "border_px", "is_told"),
    [("DIC-C2DH-HeLa", None, 50, True), ("DIC-C2DH-HeLa", 7, 7, False), ("mine", None, 0, False)],
)
def test_a_folders_name_decides_no_score_silently(tmp_path, name, asked, border_px, is_told):
    settings = settings_for(tmp_path, images=tmp_path / name, field_of_interest_px=asked)
    found, told = find_border(settings)
    assert (found, f"within {found} px of the border" in told) == (border_px, is_told)
    with pytest.raises(SettingError, match="starts -1 px inside; need 0 or more"):
        find_border(replace(settings, field_of_interest_px=-1))


@pytest.mark.parametrize(
    ("rates", "end"),
    [
        ({1e-3: 0.5, 2e-3: 0.4, 3e-3: 0.3}, "smallest scored best, so a smaller one may be"),
        ({1e-3: 0.5, 2e-3: 0.6, 3e-3: DIVERGED}, "0.003 diverged"),
        ({1e-3: 0.5}, "0.001 0.500"),
    ],
)
def test_a_best_rate_at_the_edge_of_the_search_is_told(rates, end):
    assert end in name_rates(rates)
    assert ("may be better" in name_rates(rates)) == ("best" in end)


def test_all_trainings_read_what_the_comparison_reads(tmp_path):
    folder = write_folder(tmp_path, number=4)
    asked = {"labels_are": "classes", "ignore": 7, "axes": "YX", "frames": "0-1", "score": "2-3"}
    asked |= {"scene": "1", "channel": ("1",)}
    settings = settings_for(folder, **asked)
    division = divide(
        settings.images, settings.labels, training="0-1", unseen="2-3", reading=Reading(axes="YX")
    )
    training = training_settings(settings, division)
    for field in fields(InspectSettings):
        assert getattr(training, field.name) == getattr(settings, field.name)


def test_every_network_searches_and_trains_for_the_same_steps(compared):
    _, events = compared
    assert sum(isinstance(event, Trained) for event in events) == 4 * len(NETS)
    assert sum(isinstance(event, StepLog) for event in events) == 10 * len(NETS)
    assert "training on images 0-2, scored on images 3" in events[0].text


def test_every_network_is_scored_timed_and_counted(compared):
    _, events = compared
    result = events[-1]
    assert isinstance(result, Compared)
    assert [each.title for each in result.outcomes] == ["U-Net", "sliding window, 95 px"]
    for each in result.outcomes:
        assert {"V_Rand", "V_Info", "Rand error", "pixel error", "warping error"} <= set(
            each.scores
        )
        assert 0 <= each.errors.boundary <= 1
        assert each.seconds > 0
        assert each.num_multiplications > 0
        assert len(each.rates) == 3
        chosen = each.rates[each.plan.optimizer.learning_rate]
        assert chosen >= max(each.rates.values()) * (1 - CLEARLY_BETTER)
    unet, sliding = result.outcomes
    assert sliding.receptive_field_px == 95
    assert unet.receptive_field_px > sliding.receptive_field_px
    assert (unet.plan.length.steps, sliding.plan.length.steps) == (7, 7)


def test_the_redundancy_is_measured_on_a_part_and_scaled(compared):
    _, events = compared
    found = events[-1].redundancy
    assert found.num_windows == 40**2
    assert found.patchwise.num_windows == 4
    assert found.times_the_work > 10
    assert found.patchwise.seconds == pytest.approx(found.patchwise.part_seconds * 400)


def test_the_folder_holds_plans_models_and_numbers(compared):
    folder, _ = compared
    out = folder / "compare"
    for name in NETS:
        plan = read_plan(out / name / "model" / "plan.json")
        assert plan.network.name == name
        assert "the best of 3 by" in plan.reasons["learning_rate"]
        assert (out / name / "model" / "report.html").is_file()
    record = json.loads((out / "compare.json").read_text())
    assert [each["network"] for each in record["networks"]] == list(NETS)
    assert record["redundancy"]["times_the_work"] > 10
    assert record["networks"][0]["plan"]["network"]["width"] == 1
    for chart in ("trade_off.png", "seconds.png"):
        height, width = imread(out / chart).shape[:2]
        assert width > height > 100


def test_the_tables_are_for_a_terminal_too(compared, capsys):
    _, events = compared
    for title, table in events[-1].tables.items():
        show_table(title, table)
    out = capsys.readouterr().out
    assert "U-Net" in out
    assert "scores on unseen images" in out


def test_the_page_tells_it_and_stands_alone(compared):
    folder, _ = compared
    page = (folder / "compare" / "compare.html").read_text(encoding="utf-8")
    for words in ("U-Net", "sliding window, 95 px", "warping error", "receptive field", "scaled up",
                  "start from ImageNet"):  # fmt: skip
        assert words in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_what_is_trained_is_not_trained_again(compared):
    folder, _ = compared
    events = list(run_comparison(settings_for(folder, resume=True)))
    assert not any(isinstance(event, StepLog) for event in events)
    assert isinstance(events[-1], Compared)


def test_a_network_that_was_cut_off_goes_on(compared):
    folder, _ = compared
    model = folder / "compare" / "sliding-window" / "model"
    description = json.loads((model / "model.json").read_text())
    description["scores"] = {}
    (model / "model.json").write_text(json.dumps(description))
    events = list(run_comparison(settings_for(folder, resume=True)))
    texts = [event.text for event in events if isinstance(event, Message)]
    assert any("resumed at step" in text for text in texts)
    assert isinstance(events[-1], Compared)


def test_an_output_that_exists_is_refused(compared):
    folder, _ = compared
    with pytest.raises(OutputError, match="go on with --resume, or choose another name"):
        list(run_comparison(settings_for(folder)))
    with pytest.raises(OutputError, match="there is no comparison to resume"):
        list(run_comparison(settings_for(folder, out=folder / "new", resume=True)))


def test_another_comparison_is_not_mixed_with_the_one_that_is_resumed(compared):
    folder, _ = compared
    with pytest.raises(SettingError, match=r"steps is 20, but the comparison in .* with 10"):
        list(run_comparison(settings_for(folder, steps=20, resume=True)))


def test_a_comparison_of_other_labels_is_not_gone_on_with(compared, tmp_path):
    folder, _ = compared
    shutil.copytree(folder, tmp_path / "copy")
    settings = settings_for(tmp_path / "copy", resume=True)
    path = settings.out / "settings.json"
    here = {"images": str(settings.images), "labels": str(settings.labels)}
    path.write_text(json.dumps(json.loads(path.read_text()) | here))
    label = next((tmp_path / "copy" / "labels").iterdir())
    write_tiff(label, Image(data=squares(9)[1], axes="YX"))
    with pytest.raises(SettingError, match="data_sha256 is"):
        list(run_comparison(settings))


@pytest.mark.slow
def test_by_time_with_cells_fcns_and_further_windows(tmp_path):
    data = tmp_path / "cells"
    for k in range(8):
        image, label = squares(k, size=96)
        cells = connected_components(label > 0).astype(np.uint16)
        for kind, plane in (("images", image), ("labels", cells)):
            (data / kind).mkdir(parents=True, exist_ok=True)
            write_tiff(data / kind / f"{k}.tif", Image(data=plane, axes="YX"))
    settings = settings_for(data, nets=("unet", "sliding-window", "fcn-alexnet"), windows=(33,),
                            steps=None, seconds=6.0)  # fmt: skip
    result = list(run_comparison(settings))[-1]
    titles = ["U-Net", "sliding window, 33 px", "sliding window, 95 px", "FCN-AlexNet"]
    assert [each.title for each in result.outcomes] == titles
    for each in result.outcomes:
        assert {"SEG", "AP@0.5", "mean AP"} <= set(each.scores)
        assert each.plan.length.seconds == pytest.approx(4.2)
    rates = [each.rates for each in result.outcomes]
    again = list(run_comparison(replace(settings, resume=True)))
    assert not any(isinstance(event, StepLog) for event in again)
    assert [each.rates for each in again[-1].outcomes] == rates


def test_a_training_that_is_stopped_ends_the_comparison(tmp_path):
    folder = write_folder(tmp_path, number=4)
    stop, events = threading.Event(), []
    for event in run_comparison(settings_for(folder), stop):
        events.append(event)
        if isinstance(event, StepLog):
            stop.set()
    assert [type(event) for event in events if isinstance(event, StepLog | Trained)] == [
        StepLog, Trained,
    ]  # fmt: skip
    assert isinstance(events[-1], Message)
    assert "--resume" in events[-1].text


def test_two_images_are_needed(tmp_path):
    folder = write_folder(tmp_path, number=1)
    with pytest.raises(DataError, match="two are needed"):
        list(run_comparison(settings_for(folder)))
    assert not (folder / "compare").exists()


@pytest.mark.parametrize(
    ("nets", "message"),
    [
        (("unet", "resnet"), "there is no network 'resnet'; choose of unet, sliding-window"),
        (("unet",), "networks are unet; a comparison needs two or more"),
        (("unet", "unet"), "each once"),
    ],
)
def test_networks_that_cannot_be_compared_are_refused(nets, message):
    with pytest.raises(SettingError, match=message):
        list_contenders(nets, ())


def test_windows_come_with_the_sliding_window_alone():
    assert [each.name for each in list_contenders(("unet", "sliding-window"), (65, 33))] == [
        "unet", "sliding-window-33", "sliding-window-65", "sliding-window",
    ]  # fmt: skip
    assert [each.name for each in list_contenders(("unet", "fcn-8s"), (33,))] == ["unet", "fcn-8s"]
    with pytest.raises(SettingError, match="window is 40"):
        list_contenders(NETS, (40,))
    assert parse_windows("None") == ()
    with pytest.raises(SettingError, match="write sides such as 33,65, or none"):
        parse_windows("big")


def test_another_rate_than_the_first_has_to_be_clearly_better():
    assert best_rate({2e-3: 0.95, 6e-4: 0.96, 6e-3: 0.965}) == 2e-3
    assert best_rate({2e-3: 0.95, 6e-4: 0.98, 6e-3: 0.976}) == 6e-4
    assert best_rate({2e-3: 0.04, 6e-4: 0.055, 6e-3: DIVERGED}) == 6e-4


def test_a_rate_that_diverges_is_left_out(tmp_path, monkeypatch):
    plain = contenders.run_training

    def diverging(settings, stop):
        if settings.out.name == "rate-3":
            raise TrainingError("the loss was not finite")
        yield from plain(settings, stop)

    monkeypatch.setattr(contenders, "run_training", diverging)
    folder = write_folder(tmp_path, number=4)
    result = list(run_comparison(settings_for(folder)))[-1]
    assert [list(each.rates.values())[2] for each in result.outcomes] == [DIVERGED, DIVERGED]
    assert "diverged" in result.page.read_text(encoding="utf-8")
    record = json.loads((folder / "compare" / "compare.json").read_text())
    assert list(record["networks"][0]["rates"].values())[2] is None

    def none(settings, stop):
        raise TrainingError("the loss was not finite")
        yield

    monkeypatch.setattr(contenders, "run_training", none)
    with pytest.raises(TrainingError, match="U-Net learned with none of the learning rates"):
        list(run_comparison(settings_for(folder, out=folder / "none")))


def test_a_model_of_another_learning_rate_is_trained_anew(tmp_path):
    data = write_folder(tmp_path, steps=2)
    plan = read_plan(data / "plan.json")
    settings = TrainSettings(images=data / "images", labels=data / "labels", out=data / "unet")
    for rate in (1e-2, 2e-2):
        events = list(
            train_by_plan(
                data / "unet" / "model", changed(plan, learning_rate=rate), settings, None
            )
        )
        assert sum(isinstance(event, StepLog) for event in events) == 2
        assert read_plan(data / "unet" / "model" / "plan.json").optimizer.learning_rate == rate
