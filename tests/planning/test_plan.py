import json

import pytest

from tiny_training import changed, tiny_plan
from ulens.errors import SettingError, ShapeError
from ulens.planning.plan import Plan, read_plan


def test_a_plan_survives_its_file(tmp_path):
    plan = tiny_plan(reasons={"width": "why"})
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_json()))
    assert read_plan(tmp_path / "plan.json") == plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "set one, leave the other null"),
        ({"seconds": 3.0}, "set one, leave the other null"),
        ({"steps": 0}, "steps is 0"),
        ({"width": 0}, "width is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"optimizer": "adam"}, "it takes adamw or sgd"),
        ({"recipe": "best"}, "it takes default or paper"),
        ({"schedule": "step"}, "it takes cosine or constant"),
        ({"encoding": "stars"}, "it takes classes or membrane or boundary or contact or distance"),
        (
            {"encoding": "distance", "border_weight": 10.0},
            "'distance' has no weight map; set border_weight to 0, or encoding to 'boundary'",
        ),
        (
            {"encoding": "membrane", "class_weights": (1.0, 1.0, 1.0)},
            "give 2, of membrane, cells, or set another encoding",
        ),
        ({"network": "resnet"}, "it takes unet or sliding-window or fcn-8s or fcn-alexnet"),
        (
            {"encoding": "distance", "balanced": True},
            "balanced needs classes, but encoding is 'distance'; set balanced to false",
        ),
        ({"weight_map": "ronneberger"}, "it takes paper or falk"),
        (
            {"weight_map": "falk", "class_weights": (1.0, 1.0, 1.0)},
            "weight_map is 'falk', which is for instances .* set it to 'paper'",
        ),
        ({"width": 8.5}, "width is 8.5; it needs to be a whole number"),
        ({"seed": -1}, "seed is -1; it needs to be 0 or more"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0; it needs to be 0 or more"),
        ({"border_sigma_px": 0.0}, "border_sigma_px is 0.0; it needs to be greater than 0"),
        ({"class_weights": ()}, r"class_weights are \(\); give one per class"),
        ({"class_weights": (1.0, -1.0)}, "give one per class, 0 to 1e"),
        ({"class_weights": (1.0, 1e308)}, "give one per class, 0 to 1e"),
        ({"depth": 40}, "depth is 40; it takes at most 12"),
        ({"width": 10**9}, "width is 1000000000; it takes at most 4,096"),
        ({"batch": 10**9}, "batch is 1000000000; it takes at most 32,768"),
        ({"border_sigma_px": 1e308}, "border_sigma_px is 1e"),
        ({"seed": 2**70}, "seed is .*; it needs to be a whole number of 64 bits"),
        ({"learning_rate": None}, "learning_rate is None; it needs to be a number"),
        ({"geometry": {"elastic_sd_px": 1e308}}, "need 0 to 1000 pixels"),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(SettingError, match=message):
        tiny_plan(**changes)


def test_a_crop_that_the_network_cannot_take_is_refused():
    with pytest.raises(ShapeError, match="35×35"):
        tiny_plan(crop=35)
    with pytest.raises(ShapeError, match="60×60; sliding-window takes every size from 95 up"):
        tiny_plan(network="sliding-window", batch_norm=False, crop=60)


def test_an_unknown_entry_is_named():
    with pytest.raises(SettingError, match="unknown entries widht"):
        Plan.from_json({**tiny_plan().to_json(), "widht": 3})


def test_a_missing_entry_is_named():
    record = tiny_plan().to_json()
    del record["tiles"]["crop"]
    with pytest.raises(SettingError, match="crop"):
        Plan.from_json(record)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("geometry", {"scale": [1.0]}),
        ("geometry", []),
        ("geometry", {"mirror": 1}),
        ("batch", True),
        ("learning_rate", float("nan")),
        ("seconds", float("inf")),
        ("intensity", {"slope": "steep"}),
        ("class_weights", ["a", "b"]),
        ("learning_rate", "fast"),
    ],
)
def test_values_of_a_wrong_kind_are_refused(name, value):
    with pytest.raises(SettingError, match=rf"{name}.*; it (needs to be|takes) "):
        changed(tiny_plan(), **{name: value})


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(SettingError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")


def test_the_network_has_an_output_per_class_or_per_distance():
    assert tiny_plan(class_weights=(1.0,) * 3).encoding.num_outputs == 3
    assert tiny_plan(encoding="boundary").encoding.num_outputs == 2
    assert tiny_plan(encoding="distance").encoding.num_outputs == 2


def test_a_plan_cannot_be_changed_in_place():
    plan = tiny_plan()
    with pytest.raises(AttributeError):
        plan.network.width = 3
    assert changed(plan, width=3).network.width == 3
