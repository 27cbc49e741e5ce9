import itertools

import pytest

from raw_names import find_raw_names
from tiny_training import tiny_plan
from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.paper.rivals import RATES_TIMES_WIDTH, make_rival
from ulens.planning.plan import Plan
from ulens.planning.plan_in_words import name_length, put_in_words


def words(plan: Plan) -> dict[str, str]:
    return {choice.name: f"{choice.what}: {choice.value}" for choice in put_in_words(plan)}


def test_every_choice_has_words_and_a_place():
    groups = [choice.about for choice in put_in_words(tiny_plan(reasons={"crop": "it fits"}))]
    assert [name for name, _ in itertools.groupby(groups)] == [
        "the examples", "the network", "the learning",
    ]  # fmt: skip
    by_name = {choice.name: choice for choice in put_in_words(tiny_plan(reasons={"crop": "fits"}))}
    assert by_name["crop"].value == "34 × 34 px"
    assert by_name["crop"].why == "fits"
    assert by_name["seed"].why
    assert by_name["batch"].why == ""


@pytest.mark.parametrize("network", ["unet", *RATES_TIMES_WIDTH])
@pytest.mark.parametrize(
    "changes",
    [
        {"encoding": "classes", "border_weight": 10.0},
        {"encoding": "membrane", "optimizer": "sgd", "precision": "bf16"},
        {"encoding": "boundary", "weight_map": "falk", "border_weight": 50.0},
    ],
)
def test_no_plan_is_told_by_its_keys(network, changes):
    plan = make_rival(tiny_plan(depth=4, crop=188, **changes), network)
    for choice in put_in_words(plan):
        assert not find_raw_names(f"{choice.what} {choice.value} {choice.why}")


def test_a_key_and_a_file_of_ours_would_be_found():
    assert find_raw_names("border_sigma_px 5") == ["border_sigma_px"]
    assert find_raw_names("by experiment, docs/lab-notes.md") == ["docs/", "lab-notes"]


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"encoding": "membrane"}, "encoding", "cells and the membranes between them"),
        ({"depth": 2, "crop": 60}, "network", "U-Net that sees the image at 3 scales"),
        ({"negative_slope": 0.01}, "negative_slope", "0.01 of each is passed on (leaky ReLU)"),
        ({"negative_slope": 0.0}, "negative_slope", "cut off (ReLU)"),
        ({"batch_norm": False}, "batch_norm", "as they are"),
        ({"dropout": 0.2}, "dropout", "20% left out at random"),
        ({"averaging": 0.99}, "averaging", "mean over about the last 100 steps"),
        ({"averaging": 0.0}, "averaging", "those of the last step"),
        ({"clip_norm": 0.0}, "clip_norm", "none"),
        ({"weight_decay": 0.0}, "weight_decay", "none"),
        ({"warmup_steps": 0}, "warmup_steps", "at once"),
        ({"schedule": "constant"}, "schedule", "stays the same"),
        ({"optimizer": "sgd"}, "optimizer", "stochastic gradient descent, momentum 0.9"),
        ({"precision": "bf16"}, "precision", "16 bits where that is safe (bf16)"),
        ({"memory_format": "contiguous"}, "precision", "channel by channel"),
        ({"balanced": True}, "balanced", "around pixels of each class in turn"),
        ({"class_weights": (0.5, 2.0)}, "class_weights", "background 0.5, foreground 2"),
        ({"class_weights": (1.0, 2.0, 3.0)}, "class_weights", "1, 2, 3, by rising label value"),
        ({"border_weight": 10.0}, "weight_map", "weigh up to 10 more"),
        ({"border_weight": 0.0}, "weight_map", "weigh no more than other background"),
        ({"weight_map": "falk"}, "weight_map", "far background weighs less"),
        ({"seed": 3}, "seed", "seed 3"),
    ],
)
def test_what_a_choice_says(changes, name, said):
    assert said in words(tiny_plan(**changes))[name]


def test_variety_is_told_with_its_units():
    geometry = GeometrySettings(elastic_sd_px=2.0, rotation_deg=9.0, scale=(0.8, 1.25))
    intensity = IntensitySettings(slope=(0.5, 2.0), noise_sd=0.3, blur_sd_px=1.0)
    said = words(tiny_plan(geometry=geometry, intensity=intensity))
    assert said["geometry"].endswith(
        "turned up to 9°, mirrored, enlarged 0.8 to 1.25 times, bent by about 2 px"
    )
    assert said["intensity"].endswith(
        "contrast 0.5 to 2 times, brightness by about 10%, noise up to 30% of the contrast, "
        "blur up to 1 px"
    )
    still = words(
        tiny_plan(
            geometry=GeometrySettings(elastic_sd_px=0.0, rotation_deg=0.0, mirror=False),
            intensity=IntensitySettings(slope=(1.0, 1.0), offset_sd=0.0),
        )
    )
    assert still["geometry"].endswith("not at all")
    assert still["intensity"].endswith("not at all")


def test_only_what_a_network_has_is_told():
    unet = tiny_plan(depth=4, crop=188)
    own = {"negative_slope", "batch_norm"}
    assert own < words(unet).keys()
    assert not own & words(make_rival(unet, "fcn-8s")).keys()
    window = words(make_rival(unet, "sliding-window", window=65))
    assert "dropout" not in window
    assert window["network"] == "network: sliding window of 65 px"
    assert not {"class_weights", "weight_map"} & words(tiny_plan(encoding="distance")).keys()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ({"steps": 300}, "300 steps"),
        ({"steps": None, "seconds": 1200.0}, "20 minutes"),
        ({"steps": None, "seconds": 5400.0}, "90 minutes"),
        ({"steps": None, "seconds": 52.5}, "52 seconds"),
    ],
)
def test_the_length_of_a_training(length, said):
    assert name_length(tiny_plan(**length)) == said


def test_precision_and_order_in_memory_are_measured_together():
    plan = tiny_plan(reasons={"precision": "fast", "memory_format": "measured"})
    assert {c.name: c.why for c in put_in_words(plan)}["precision"] == "measured"
