from dataclasses import replace

import pytest

from raw_names import find_raw_names
from ulens.errors import SettingError
from ulens.planning.fingerprint import Fingerprint
from ulens.planning.parts import Length, TensorFormat
from ulens.planning.plan_in_words import put_in_words
from ulens.planning.recipes import LONG_STEPS, RATE_TIMES_WIDTH, WIDTHS, Asked, Start, make_plan
from ulens.planning.width import FEWEST_STEPS

WEIGHTS = (2.0, 0.7)
FORMATS = (TensorFormat("fp32", "contiguous"), TensorFormat("fp32", "channels_last"))


def a_fingerprint(
    size=512,
    labels_are="classes",
    touching_fraction=0.0,
    membrane_fraction=0.0,
    contact_fraction=0.0,
):
    return Fingerprint(
        num_images=15,
        num_channels=1,
        sizes=((size, size), (size, size)),
        dtype="uint8",
        intensity_percentiles=((0.0, 100.0, 255.0),),
        labels_are=labels_are,
        num_classes=2,
        class_fractions=(0.2, 0.8),
        ignored_fraction=0.0,
        num_instances=0,
        median_area_px=0.0,
        touching_fraction=touching_fraction,
        contact_fraction=contact_fraction,
        membrane_fraction=membrane_fraction,
    )


def plan_for(fingerprint, *, steps=None, seconds=None, **asked):
    """Plan a training of a length; the rest is of `Asked`, or of `make_plan`."""
    own = {"class_weights": WEIGHTS}
    own |= {k: asked.pop(k) for k in ("class_weights", "start", "formats", "measure") if k in asked}
    return make_plan(
        fingerprint, Asked(length=Length(steps=steps, seconds=seconds), **asked), **own
    )


def test_the_paper_recipe_is_the_published_one():
    plan = plan_for(a_fingerprint(), recipe="paper", steps=10)
    assert (plan.network.width, plan.network.depth, plan.tiles.crop, plan.tiles.batch) == (
        64,
        4,
        572,
        1,
    )
    assert (plan.optimizer.name, plan.optimizer.momentum) == ("sgd", 0.99)
    assert (plan.encoding.border_weight, plan.encoding.border_sigma_px) == (10, 5)
    assert plan.encoding.class_weights == WEIGHTS
    assert plan.augmentation.geometry.elastic_sd_px == 10
    assert plan.network.dropout == 0.5
    assert plan.network.negative_slope == 0.0
    assert "learning_rate" in plan.reasons
    # rotation and mirroring as in the paper, and nothing that came after it
    assert (plan.augmentation.geometry.rotation_deg, plan.augmentation.geometry.mirror) == (
        180,
        True,
    )
    assert plan.augmentation.geometry.scale == (1, 1)
    assert not plan.network.batch_norm
    assert (plan.optimizer.clip_norm, plan.optimizer.averaging, plan.optimizer.weight_decay) == (
        0,
        0,
        0,
    )
    assert (plan.encoding.weight_map, plan.network.name, plan.tiles.zoom) == (
        "paper",
        "unet",
        (1, 1),
    )


@pytest.mark.parametrize(("size", "crop"), [(512, 252), (256, 252), (30, 220)])
def test_tiles_are_small_and_no_larger_than_the_images(size, crop):
    plan = plan_for(a_fingerprint(size=size), steps=10)
    assert plan.tiles.crop == crop


@pytest.mark.parametrize(("steps", "warmup_steps"), [(4, 1), (100, 10), (500, 50), (9000, 50)])
def test_the_warm_up_takes_no_more_than_a_tenth(steps, warmup_steps):
    plan = plan_for(a_fingerprint(), steps=steps)
    assert plan.optimizer.warmup_steps == warmup_steps
    by_time = plan_for(a_fingerprint(), seconds=10, width=8, measure=lambda _: steps / 10)
    assert by_time.optimizer.warmup_steps == warmup_steps


def test_two_classes_and_instances_get_a_weight_map_more_classes_none():
    for labels_are in ("classes", "instances"):
        plan = plan_for(a_fingerprint(labels_are=labels_are), steps=1)
        assert plan.encoding.border_weight == 10
    three = replace(a_fingerprint(), num_classes=3)
    assert plan_for(three, steps=1, class_weights=(1.0,) * 3).encoding.border_weight == 0


@pytest.mark.parametrize("recipe", ["default", "paper"])
@pytest.mark.parametrize("labels_are", ["classes", "instances"])
def test_what_parts_instances_is_chosen_and_the_plan_says_why(recipe, labels_are):
    fingerprint = a_fingerprint(labels_are=labels_are, touching_fraction=0.3)
    plan = plan_for(fingerprint, recipe=recipe, steps=1)
    parted = {"default": "contact", "paper": "boundary"}[recipe]
    assert plan.encoding.name == ("classes" if labels_are == "classes" else parted)
    assert plan.reasons["encoding"]


def test_narrow_background_is_membrane_whose_gaps_are_closed_but_not_in_the_papers_recipe():
    fingerprint = a_fingerprint(membrane_fraction=0.95)
    plan = plan_for(fingerprint, steps=1)
    assert plan.encoding.name == "membrane"
    assert plan.reasons["encoding"].startswith("95% of the background lies in narrow gaps")
    assert plan_for(fingerprint, recipe="paper", steps=1).encoding.name == ("classes")


@pytest.mark.parametrize(("steps", "is_strong"), [(LONG_STEPS - 1, False), (LONG_STEPS, True)])
def test_long_trainings_vary_their_images_more(steps, is_strong):
    by_steps = plan_for(a_fingerprint(), steps=steps)
    by_time = plan_for(a_fingerprint(), seconds=100, width=8, measure=lambda _: steps / 100)
    for plan in (by_steps, by_time):
        assert (plan.augmentation.geometry.scale[1] > 1.1) == is_strong
        assert (plan.augmentation.intensity.noise_sd > 0.2) == is_strong
        assert ("at least" if is_strong else "fewer than") in plan.reasons["intensity"]


@pytest.mark.parametrize(
    ("contact_fraction", "weight_map", "w0"),
    [(0.0, "paper", 10), (1e-4, "falk", 50), (2e-3, "paper", 10)],
)
def test_where_contacts_are_rare_far_background_weighs_less(contact_fraction, weight_map, w0):
    fingerprint = a_fingerprint(labels_are="instances", contact_fraction=contact_fraction)
    plan = plan_for(fingerprint, steps=1)
    assert (plan.encoding.weight_map, plan.encoding.border_weight) == (weight_map, w0)
    assert "where objects touch" in plan.reasons["weight_map"]
    paper = plan_for(fingerprint, recipe="paper", steps=1)
    assert (paper.encoding.weight_map, paper.encoding.border_weight) == ("paper", 10)


def test_the_plan_says_how_crowded_the_instances_are():
    fingerprint = a_fingerprint(labels_are="instances", touching_fraction=0.62)
    reason = plan_for(fingerprint, steps=1).reasons["encoding"]
    assert reason.startswith("62% of the objects touch another one")


@pytest.mark.parametrize("recipe", ["default", "paper"])
@pytest.mark.parametrize("length", [{"steps": 1}, {"seconds": 60}])
@pytest.mark.parametrize(
    "images",
    [
        {},
        {"membrane_fraction": 0.95},
        {"labels_are": "instances", "touching_fraction": 0.3, "contact_fraction": 1e-4},
        {"labels_are": "instances", "contact_fraction": 2e-3},
    ],
)
def test_every_choice_has_a_reason_in_words(recipe, length, images):
    plan = plan_for(
        a_fingerprint(**images), recipe=recipe, formats=FORMATS,
        measure=lambda plan: 50 / plan.network.width, **length,
    )  # fmt: skip
    assert [choice.what for choice in put_in_words(plan) if not choice.why] == []
    assert find_raw_names(" ".join(plan.reasons.values())) == []


def test_the_reason_for_a_width_is_true():
    def reason(**asked):
        return plan_for(a_fingerprint(), **asked).reasons.get("width", "")

    slow, fast = ({"seconds": 60, "measure": lambda _, rate=rate: rate} for rate in (1.0, 1e3))
    assert reason(**slow).startswith(f"the narrowest, since none makes {FEWEST_STEPS} steps: 1.00")
    assert reason(**fast).startswith(f"the widest that makes {FEWEST_STEPS} steps: 1000.00 steps")
    assert "at equal work 24 beat 32" in reason(steps=10)
    assert reason(steps=10, width=20) == ""  # the user's choice
    assert (
        reason(steps=10, width=20, start=Start(0.0, "classes"))
        == "that of the model it starts from"
    )


@pytest.mark.parametrize("seconds", [1, 60, 1800, 1e6])
def test_the_widest_network_that_makes_enough_steps_is_taken(seconds):
    def measure(plan):
        return 100 / plan.network.width**1.5

    plan = plan_for(a_fingerprint(), seconds=seconds, measure=measure)
    fitting = [w for w in WIDTHS if 100 / w**1.5 * seconds >= FEWEST_STEPS]
    assert plan.network.width == max(fitting, default=WIDTHS[0])
    assert plan.optimizer.learning_rate == pytest.approx(RATE_TIMES_WIDTH / plan.network.width)
    assert "steps per second" in plan.reasons["width"]


def test_the_fastest_format_is_taken_if_it_clearly_is():
    for other_rate, taken in ((2.0, "contiguous"), (2.05, "contiguous"), (2.2, "channels_last")):
        rates = {"contiguous": 2.0, "channels_last": other_rate}
        plan = plan_for(
            a_fingerprint(), seconds=60, formats=FORMATS,
            measure=lambda plan, rates=rates: rates[plan.tensors.memory_format],
        )  # fmt: skip
        assert plan.tensors.memory_format == taken
        assert plan.steps_per_second == rates[taken]
        left = rates["contiguous" if taken == "channels_last" else "channels_last"]
        assert plan.reasons["memory_format"].startswith(
            f"{rates[taken]:.2f} steps per second on this computer, otherwise {left:.2f}"
        )


def test_a_network_too_slow_when_narrow_is_not_measured_wider():
    widths = []

    def measure(plan):
        widths.append(plan.network.width)
        return 1.0

    plan_for(a_fingerprint(), seconds=60, measure=measure)
    assert widths == [WIDTHS[0]]


def test_with_steps_no_timing_enters():
    def measure(_):
        raise AssertionError("measured")

    plan = plan_for(a_fingerprint(), steps=10, measure=measure)
    assert plan.length.seconds is None


def test_a_width_asked_for_is_kept():
    plan = plan_for(a_fingerprint(), seconds=60, width=20, measure=lambda _: 2.0)
    assert plan.network.width == 20
    assert "2.00 steps per second on this computer, about 120 in all" in plan.reasons["width"]
    assert plan.steps_per_second == 2.0
    assert plan.fingerprint["num_images"] == 15


def test_an_unknown_recipe_is_refused():
    with pytest.raises(SettingError, match="'default' or 'paper'"):
        plan_for(a_fingerprint(), recipe="best", steps=1)


@pytest.mark.parametrize(
    ("diameter_px", "zoom", "depth"),
    [
        (112, 1 / 4, 3),
        (63, 1 / 2, 3),
        (39, 2 / 3, 3),
        (28, 1.0, 3),
        (18, 1.5, 3),
        (9, 2.0, 3),
        (2000, 1 / 6, 4),
    ],
)
def test_large_objects_are_seen_smaller(diameter_px, zoom, depth):
    fingerprint = replace(
        a_fingerprint(), labels_are="instances", num_instances=50, diameter_px=diameter_px
    )
    plan = plan_for(fingerprint, steps=10)
    assert plan.tiles.zoom == (zoom, zoom)
    assert plan.network.depth == depth
    assert f"{diameter_px} px wide" in plan.reasons["zoom"]
    assert plan.augmentation.geometry.elastic_sd_px == pytest.approx(10 / 572 * plan.tiles.crop)


def test_a_zoom_or_a_depth_asked_for_is_kept_and_the_papers_recipe_has_none():
    large = replace(a_fingerprint(), labels_are="instances", diameter_px=112.0)
    asked = plan_for(large, steps=10, zoom=(1.0, 0.5), depth=2)
    assert (asked.tiles.zoom, asked.network.depth, asked.reasons["zoom"]) == (
        (1.0, 0.5),
        2,
        "as asked",
    )
    paper = plan_for(large, recipe="paper", steps=10)
    assert (paper.tiles.zoom, paper.network.depth) == ((1.0, 1.0), 4)
    assert not paper.augmentation.geometry.beyond_edges


def test_a_training_that_starts_from_a_model_keeps_what_that_has_learned():
    asked = {"steps": 10}
    cells = a_fingerprint(labels_are="instances")
    anew = plan_for(cells, **asked)
    plan = plan_for(cells, start=Start(0.2, "distance"), **asked)
    assert (plan.network.negative_slope, plan.network.frozen_at) == (0.2, 0.0)
    assert plan.encoding.name == "distance"
    assert plan.optimizer.learning_rate == anew.optimizer.learning_rate
    other = plan_for(cells, start=Start(0.2, "classes"), **asked)
    assert other.encoding == anew.encoding


@pytest.mark.parametrize("labels_are", ["classes", "instances"])
def test_oblong_pixels_become_square_ones_of_the_network(labels_are):
    images = replace(a_fingerprint(labels_are=labels_are), diameter_px=56.0)
    asked = {"steps": 10}
    square = plan_for(replace(images, pixel_aspect=1.05), **asked)
    assert square.tiles.zoom[0] == square.tiles.zoom[1]
    oblong = plan_for(replace(images, pixel_aspect=4.0), **asked)
    assert oblong.tiles.zoom == pytest.approx((2 * square.tiles.zoom[0], square.tiles.zoom[1] / 2))
    assert "4 times as high as wide" in oblong.reasons["zoom"]
    paper = plan_for(replace(images, pixel_aspect=4.0), recipe="paper", **asked)
    assert paper.tiles.zoom == (1, 1)
