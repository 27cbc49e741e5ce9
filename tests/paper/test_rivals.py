import pytest

from tiny_training import tiny_plan
from ulens.nets.build import NETWORKS
from ulens.paper.rivals import FCN_WIDTHS, make_rival, search_rates, share_of, with_rate
from ulens.planning.parts import TensorFormat
from ulens.planning.width import FEWEST_STEPS

RIVALS = [name for name in NETWORKS if name != "unet"]


def unet_plan(**changes):
    published = {"width": 16, "depth": 4, "crop": 572, "border_weight": 10.0}
    return tiny_plan(**{**published, "steps": None, "seconds": 600.0, **changes})


@pytest.mark.parametrize("network", RIVALS)
def test_a_rival_learns_as_long_from_the_same_variety_as_the_unet(network):
    plan = unet_plan()
    rival = make_rival(plan, network)
    for name in ("length", "seed", "tensors"):
        assert getattr(rival, name) == getattr(plan, name)
    assert rival.encoding.name == plan.encoding.name
    assert rival.augmentation.intensity == plan.augmentation.intensity
    assert with_rate(rival, plan.optimizer.learning_rate).optimizer == plan.optimizer
    assert rival.network.name == network
    assert "to be searched" in rival.reasons["learning_rate"]


def test_the_unet_keeps_its_plan():
    plan = unet_plan()
    assert make_rival(plan, "unet") is plan


@pytest.mark.parametrize("window", [33, 65, 95])
def test_the_sliding_window_trains_on_balanced_windows_as_published(window):
    plan = make_rival(unet_plan(), "sliding-window", window=window)
    assert plan.tiles.crop == plan.network.window == window
    assert plan.network_geometry.output_size(plan.tiles.crop) == 1
    assert plan.tiles.balanced
    assert plan.tiles.batch > 1
    assert plan.encoding.border_weight == 0
    assert plan.augmentation.geometry.elastic_sd_px == 0
    assert plan.augmentation.geometry.mirror
    assert plan.augmentation.geometry.rotation_deg > 0
    assert plan.network.width == 48


@pytest.mark.parametrize("network", ["fcn-8s", "fcn-alexnet"])
def test_an_fcn_decides_at_least_what_the_unet_decides_in_a_step(network):
    plan = unet_plan()
    rival = make_rival(plan, network)
    decided = rival.network_geometry.output_size(rival.tiles.crop)
    assert 0 <= decided - plan.network_geometry.output_size(plan.tiles.crop) < 32 + 16


@pytest.mark.parametrize("seconds", [1.0, 600.0, 1e6])
@pytest.mark.parametrize("network", ["fcn-8s", "fcn-alexnet"])
def test_the_widest_fcn_that_makes_enough_steps_is_taken(network, seconds):
    def measure(plan):
        return 100 / plan.network.width

    chosen = make_rival(unet_plan(seconds=seconds), network, measure=measure)
    fitting = [w for w in FCN_WIDTHS[network] if 100 / w * seconds >= FEWEST_STEPS]
    assert chosen.network.width == max(fitting, default=FCN_WIDTHS[network][0])
    assert "steps per second" in chosen.reasons["width"]


@pytest.mark.parametrize("network", RIVALS)
def test_a_width_asked_for_is_kept_and_no_other_measured(network):
    def measure(plan):
        measured.append((plan.network.width, plan.tensors.memory_format))
        return len(measured)

    measured = []
    formats = (TensorFormat("fp32", "contiguous"), TensorFormat("fp32", "channels_last"))
    rival = make_rival(unet_plan(), network, width=2, measure=measure, formats=formats)
    assert (rival.network.width, rival.tensors.memory_format) == (2, "channels_last")
    assert measured == [(2, "contiguous"), (2, "channels_last")]


def test_every_network_tries_as_many_rates_its_own_first():
    for network in NETWORKS:
        plan = make_rival(unet_plan(), network)
        rates = search_rates(plan)
        assert len(rates) == 3
        assert rates[0] == plan.optimizer.learning_rate
        assert max(rates) / min(rates) == pytest.approx(10)


def test_a_share_is_of_the_time_or_of_the_steps():
    assert share_of(unet_plan(seconds=100.0), 0.1).length.seconds == pytest.approx(10)
    assert share_of(unet_plan(seconds=None, steps=20), 0.1).length.steps == 2
    assert share_of(unet_plan(seconds=None, steps=2), 0.1).length.steps == 1
