import copy
from dataclasses import replace

import pytest
import torch
from skimage.measure import label as connected_components

from tiny_training import changed, squares, tiny_plan
from ulens.annotated.samples import Sample
from ulens.errors import TrainingError
from ulens.nets.unet import UNet
from ulens.normalize import fit_normalization
from ulens.training.clock import USUAL, Pace
from ulens.training.kept_weights import AVERAGE_EVERY, DENSE_AVERAGE_STEPS
from ulens.training.state import load_state, save_state
from ulens.training.tensors import prepare
from ulens.training.trainer import Trainer


def a_trainer(images, pace=USUAL, **changes):
    torch.manual_seed(0)
    plan = tiny_plan(**changes)
    net = UNet(width=plan.network.width, depth=plan.network.depth)
    return Trainer(net, images, plan, pace=pace)


def weights_of(trainer):
    return torch.cat([value.flatten() for value in trainer.weights().values()])


def test_the_loss_falls(tiny_images):
    losses = [log.loss for log in a_trainer(tiny_images, steps=200)]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_distances_are_learned():
    samples = [
        Sample(name=str(seed), image=image[None], label=connected_components(label))
        for seed in range(3)
        for image, label in [squares(seed)]
    ]
    plan = tiny_plan(encoding="distance", steps=200)
    normalization = fit_normalization([sample.image for sample in samples])
    images = prepare(samples, normalization, plan=plan, device=torch.device("cpu"))
    losses = [log.loss for log in a_trainer(images, encoding="distance", steps=200)]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_restored_from_its_saved_state_ends_the_same(tiny_images, tmp_path, optimizer):
    changes = {"optimizer": optimizer, "learning_rate": 1e-3, "precision": "bf16"}
    whole = a_trainer(tiny_images, **changes)
    list(whole)
    begun = a_trainer(tiny_images, **changes)
    for log in begun:
        if log.step == USUAL.snapshot_steps + 7:
            break
    save_state(tmp_path / "state", *begun.snapshot)
    resumed = a_trainer(tiny_images, **changes)
    resumed.restore(*load_state(tmp_path / "state"))
    assert resumed.clock.step == USUAL.snapshot_steps
    list(resumed)
    assert torch.equal(weights_of(whole), weights_of(resumed))


def test_the_seed_decides(tiny_images):
    first, same, other = (a_trainer(tiny_images, steps=5, seed=s) for s in (1, 1, 2))
    for trainer in (first, same, other):
        list(trainer)
    assert torch.equal(weights_of(first), weights_of(same))
    assert not torch.equal(weights_of(first), weights_of(other))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_average_follows_the_weights(tiny_images, batch_norm):
    trainer = a_trainer(tiny_images, steps=140, averaging=0.9, batch_norm=batch_norm)
    expected = {name: value.detach().clone() for name, value in trainer.net.named_parameters()}
    for log in trainer:
        decay = min(0.9, log.step / (log.step + 9))
        if log.step > DENSE_AVERAGE_STEPS:  # then it is brought up to date now and then
            decay = 0.9**AVERAGE_EVERY if log.step % AVERAGE_EVERY == 0 else 1.0
        for name, value in trainer.net.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * value.detach()
    for name, value in trainer.kept.average.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


def test_the_kept_weights_are_those_of_a_plain_network(tiny_images):
    trainer = a_trainer(tiny_images, steps=10, averaging=0.0)
    list(trainer)
    plain = UNet(width=8, depth=1)
    plain.load_state_dict(trainer.weights())
    tile = tiny_images[0].image[None, :, :36, :36]
    with torch.no_grad():
        expected, computed = trainer.net.eval()(tile), plain.eval()(tile)
    assert expected.std() > 0.01
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_kept_weights_are_measured_once_after_a_step(tiny_images, averaging):
    trainer = a_trainer(tiny_images, steps=6, averaging=averaging, frozen_at=0.9)
    measured = []
    trainer.net.register_forward_hook(lambda net, *_: measured.append(net.training))
    for _ in trainer:
        other = copy.deepcopy(trainer)
        other.kept.use(other.kept.moments)  # which forgets what was measured
        fresh = other.weights()
        measured.clear()
        for _ in range(2):
            again = trainer.weights()
            assert all(torch.equal(value, fresh[name]) for name, value in again.items())
        assert measured == [] if trainer.kept.moments else measured == [False]
    trainer = a_trainer(tiny_images, steps=6, frozen_at=0.9)
    few = trainer.weights()
    trainer.use_all()
    trainer.tiles.all_images = tiny_images[:1]
    assert any(not torch.equal(value, few[name]) for name, value in trainer.weights().items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("frozen_at", [0.0, 0.4])
def test_a_training_begins_where_the_model_is_that_it_starts_from(
    tiny_images, frozen_at, precision
):
    torch.manual_seed(3)
    net = UNet(width=8, depth=1, negative_slope=0.01)
    begun = {name: value.detach().clone() for name, value in net.state_dict().items()}
    plan = tiny_plan(
        steps=4, batch_norm=True, frozen_at=frozen_at, negative_slope=0.01, precision=precision
    )
    trainer = Trainer(net, tiny_images, plan, is_trained=True)
    for name, value in trainer.weights().items():
        torch.testing.assert_close(value, begun[name], rtol=1e-4, atol=1e-5)
    # and so do its steps, where moments stay from the first one on
    log = next(iter(trainer))
    plain = Trainer(reloaded(begun), tiny_images, changed(plan, batch_norm=False), is_trained=True)
    expected = next(iter(plain)).loss
    assert (log.loss == pytest.approx(expected, rel=1e-3)) == (frozen_at == 0)


def reloaded(weights):
    net = UNet(width=8, depth=1, negative_slope=0.01)
    net.load_state_dict(weights)
    return net


def test_moments_are_frozen_after_a_part_of_the_training(tiny_images):
    trainer = a_trainer(tiny_images, steps=20)
    for log in trainer:
        assert bool(trainer.kept.moments) == (log.step > trainer.plan.network.frozen_at * 20)
    early = a_trainer(tiny_images, steps=20)
    early.restore(*trainer.snapshot)
    assert early.kept.moments.keys() == trainer.kept.moments.keys()
    assert torch.equal(weights_of(early), weights_of(trainer))
    # back to a state before, a tile has its own again
    early.restore(*a_trainer(tiny_images, steps=20).snapshot)
    assert not early.kept.moments


def test_where_it_is_frozen_it_goes_on_from_the_weights_that_it_keeps(tiny_images):
    trainer = a_trainer(tiny_images, steps=20, averaging=0.9)
    steps = iter(trainer)
    for _ in range(8):
        next(steps)
    before = weights_of(trainer)
    trainer.kept.use(trainer.kept.freeze())
    torch.testing.assert_close(weights_of(trainer), before)
    own = dict(trainer.net.named_parameters())
    assert all(torch.equal(own[name], value) for name, value in trainer.kept.average.items())


def test_a_training_that_becomes_longer_is_normalised_anew(tiny_images):
    short = a_trainer(tiny_images, steps=20)
    list(short)
    longer = a_trainer(tiny_images, steps=200)
    longer.restore(*short.snapshot)
    assert not longer.kept.moments
    next(iter(longer))
    assert not longer.kept.moments


def test_planning_does_not_count_as_time_of_normalisation(tiny_images):
    trainer = a_trainer(tiny_images, steps=None, seconds=1000.0)
    trainer.clock.seconds = 500.0  # planned for that long
    steps = iter(trainer)
    next(steps)
    next(steps)
    assert not trainer.kept.moments
    trainer.clock.seconds = 701.0
    next(steps)
    assert trainer.kept.moments
    again = a_trainer(tiny_images, steps=None, seconds=1000.0)
    trainer.take_snapshot()
    again.restore(*trainer.snapshot)
    assert again.kept.moments


def test_a_bad_draw_just_after_freezing_goes_back_to_before_it(tiny_images):
    plain, bad = (a_trainer(tiny_images, steps=USUAL.snapshot_steps * 2) for _ in range(2))
    poison(bad, lambda visit: visit == 43)
    list(plain)
    logs = list(bad)
    assert [log.step for log in logs if log.skipped] == [0]
    assert bad.kept.moments.keys() == plain.kept.moments.keys()
    assert bad.clock.step == plain.clock.step


def test_constant_images_are_left_out_of_the_moments(tiny_images):
    dark = [replace(tiny_images[0], name="dark", image=torch.full_like(tiny_images[0].image, -1))]
    trainer = a_trainer([*dark * 9, tiny_images[1]], steps=3)
    assert trainer.tiles.plain().std((1, 2, 3)).min() > 0.1
    list(trainer)
    assert torch.isfinite(weights_of(trainer)).all()
    # with nothing else there is nothing to leave out
    assert len(a_trainer(dark, steps=3).tiles.plain()) == 1


def poison(trainer, bad_visits):
    """Make the loss of some draws not a number."""
    clean = trainer._loss

    def loss(visits):
        value = clean(visits)
        return value * float("nan") if bad_visits(visits[0]) else value

    trainer._loss = loss


def test_a_bad_draw_rolls_back_is_named_and_never_drawn_again(tiny_images):
    trainer = a_trainer(tiny_images, steps=USUAL.snapshot_steps + 20)
    poison(trainer, lambda visit: visit == USUAL.snapshot_steps + 10)
    logs = list(trainer)
    bad = [log for log in logs if log.skipped]
    assert [log.step for log in bad] == [USUAL.snapshot_steps]
    assert bad[0].skipped.startswith("image ")
    assert trainer.tiles.skipped == [USUAL.snapshot_steps + 10]
    assert trainer.rate_factor == 0.5
    assert trainer.clock.step == USUAL.snapshot_steps + 20
    assert torch.isfinite(weights_of(trainer)).all()


def test_a_roll_back_keeps_what_was_decided_since(tiny_images):
    trainer = Trainer(tiny_plan(steps=20).make_network(1), tiny_images[:1], tiny_plan(steps=20),
                      all_images=tiny_images)  # fmt: skip
    poison(trainer, lambda visit: visit == 10)
    for log in trainer:
        if log.step == 8:
            trainer.use_all()
    assert trainer.tiles.skipped == [10]
    assert trainer.tiles.uses_all

    timed = a_trainer(tiny_images, steps=None, seconds=1000.0)
    timed.clock.seconds = 40.0
    poison(timed, lambda visit: visit == 0)
    assert next(iter(timed)).skipped
    assert timed.clock.seconds >= 40


def test_after_three_bad_draws_training_stops_with_advice(tiny_images):
    trainer = a_trainer(tiny_images)
    poison(trainer, lambda visit: visit >= 4)
    with pytest.raises(TrainingError, match=r"not finite 3 times .*image \d.*learning_rate"):
        list(trainer)


def test_an_infinite_gradient_counts_as_a_bad_draw(tiny_images):
    trainer = a_trainer(tiny_images, steps=10)
    clean, before = trainer._loss, weights_of(trainer)

    def loss(visits):
        value = clean(visits)
        if visits[0] == 0:
            value.register_hook(lambda gradient: gradient * float("inf"))
        return value

    trainer._loss = loss
    first = next(iter(trainer))
    assert first.skipped is not None
    assert torch.equal(weights_of(trainer), before)


def test_a_state_of_another_network_is_refused(tiny_images, tmp_path):
    small = a_trainer(tiny_images, width=2)
    save_state(tmp_path / "state", *small.snapshot)
    with pytest.raises(TrainingError, match="does not fit this network"):
        a_trainer(tiny_images).restore(*load_state(tmp_path / "state"))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_state_with_any_tensor_of_another_kind_is_refused(tiny_images, optimizer):
    trainer = a_trainer(tiny_images, optimizer=optimizer, width=2, frozen_at=0.0)
    next(iter(trainer))
    trainer.take_snapshot()
    tensors, record = trainer.snapshot
    assert {name.split(".")[0] for name in tensors} == {
        "net", "average", "mean", "variance", "optimizer",
    }  # fmt: skip
    for name, value in tensors.items():
        for other in (value.double(), value[None], value.new_zeros(3, 1, 2, 5)):
            with pytest.raises(TrainingError, match=rf"fit this network \({name} is .*; need"):
                trainer.restore(tensors | {name: other}, record)
        if not name.startswith("optimizer") or optimizer == "adamw":
            with pytest.raises(TrainingError, match=f"{name} is missing"):
                trainer.restore({n: v for n, v in tensors.items() if n != name}, record)
    trainer.restore(tensors, record)


def test_several_tiles_per_step(tiny_images):
    trainer = a_trainer(tiny_images, batch=3, steps=4)
    assert [log.step for log in trainer] == [1, 2, 3, 4]
    assert trainer.tiles.visits(4) == [12, 13, 14]


def test_a_slow_timed_training_takes_snapshots_between(tiny_images):
    timed, counted = (
        a_trainer(tiny_images, pace=Pace(snapshot_seconds=0.0), **changes)
        for changes in ({"steps": None, "seconds": 60.0}, {})
    )
    for trainer in (timed, counted):
        steps = iter(trainer)
        for _ in range(3):
            next(steps)
    assert timed.snapshot[1]["step"] == 3
    assert counted.snapshot[1]["step"] == 0  # where a resumed training must repeat, never


def test_a_timed_training_follows_its_seconds(tiny_images):
    trainer = a_trainer(tiny_images, steps=None, seconds=0.5)
    logs = list(trainer)
    assert logs[-1].seconds >= 0.5
    assert logs[-2].seconds < 0.5
    assert logs[-1].learning_rate < 0.5 * max(log.learning_rate for log in logs)
