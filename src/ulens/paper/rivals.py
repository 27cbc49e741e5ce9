"""The rivals' plans: the U-Net's, changed only where another network needs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ulens.augment.geometry import GeometrySettings
from ulens.nets.build import NetName, network_geometry
from ulens.planning.parts import TensorFormat
from ulens.planning.plan import Plan
from ulens.planning.recipes import PAPER_OUTPUT, warm_up_shortly
from ulens.planning.width import widest
from ulens.resample import AS_IT_IS

WINDOW_WIDTH = 48
WINDOW_BATCH = 64
# Inverse to the width, as the U-Net's. At these widths the rates were the best of those tried in
# trainings of minutes on ISBI 2012 and DIC-HeLa, by held-out annotations.
RATES_TIMES_WIDTH: Mapping[NetName, float] = {
    "sliding-window": 3e-3 * 48,
    "fcn-8s": 1.5e-3 * 8,
    "fcn-alexnet": 5e-4 * 24,
}
FCN_WIDTHS: Mapping[NetName, tuple[int, ...]] = {
    "fcn-8s": (8, 16, 24, 32, 48, 64),
    "fcn-alexnet": (12, 24, 36, 48, 72, 96),
}
UNTIMED_WIDTHS: Mapping[NetName, int] = {"fcn-8s": 24, "fcn-alexnet": 36}
FCN_DROPOUT = 0.5
RATE_FACTORS = (1.0, 10**-0.5, 10**0.5)

_SEARCHED = "to be searched around this value, the best in trials on other occasions"
_WINDOW_REASONS = {
    "zoom": "as published",
    "network": "Ciresan et al. 2012",
    "width": "Ciresan et al. 2012",
    "crop": "one window, whose pixel in the centre is decided",
    "batch": "a step of the published training is one window; many at once suit this machine",
    "balanced": "Ciresan et al. 2012: as many windows of each class",
    "geometry": "Ciresan et al. 2012: mirrors and rotations, here by any angle; not elastic",
    "weight_map": "Ciresan et al. 2012: none",
    "class_weights": "all alike: the sampling balances the classes",
    "intensity": "as the U-Net's, so that every network learns from the same variety",
    "learning_rate": _SEARCHED,
}
_FCN_REASONS = {
    "zoom": "as published",
    "network": "Long et al. 2015",
    "dropout": "Long et al. 2015",
    "crop": "the smallest that decides what the U-Net's crop decides, or more",
    "width": "as published in its proportions; where training is by steps a fixed one",
    "learning_rate": _SEARCHED,
}


def make_rival(
    plan: Plan,
    network: NetName,
    *,
    window: int = 95,
    width: int | None = None,
    largest_side: int = PAPER_OUTPUT,
    measure: Callable[[Plan], float] | None = None,
    formats: Sequence[TensorFormat] = (),
) -> Plan:
    """Turn the plan of a U-Net into that of a network it is compared with.

    Parameters
    ----------
    plan : of the default recipe
    network : which; 'unet' gives the plan back
    window : side of the window of 'sliding-window', pixels
    width : channels of the first layer; None = as published for 'sliding-window', and for the FCNs
        the widest that makes enough steps in the time, as the U-Net's is chosen
    largest_side : of the images, pixels
    measure : returns the steps per second of a plan on this machine
    formats : as of `make_plan`; without any the plan's own is kept

    Returns
    -------
    the plan, of the same length, seed, encoding, optimizer and intensity changes, with reasons;
    rivals see the image's own pixels, as published
    """
    if network == "unet":
        return plan
    own = ("negative_slope", "batch_norm", "zoom")
    reasons = {name: why for name, why in plan.reasons.items() if name not in own}
    plan = replace(
        plan,
        network=replace(plan.network, negative_slope=0.0, batch_norm=False),
        tiles=replace(plan.tiles, zoom=AS_IT_IS),
        reasons=reasons,
    )
    if network == "sliding-window":
        changed = replace(
            plan,
            network=replace(plan.network, name=network, window=window, width=width or WINDOW_WIDTH),
            encoding=replace(
                plan.encoding,
                weight_map="paper",
                border_weight=0.0,
                class_weights=(1.0,) * len(plan.encoding.class_weights),
            ),
            tiles=replace(plan.tiles, crop=window, batch=WINDOW_BATCH, balanced=True),
            augmentation=replace(plan.augmentation, geometry=GeometrySettings(elastic_sd_px=0.0)),
            steps_per_second=None,
            reasons={**plan.reasons, **_WINDOW_REASONS},
        )
        rate = RATES_TIMES_WIDTH[network] / changed.network.width
        return _timed([with_rate(changed, rate)], measure, formats)
    geometry = network_geometry({"name": network})
    first_width = width or UNTIMED_WIDTHS[network]
    changed = replace(
        plan,
        network=replace(plan.network, name=network, width=first_width, dropout=FCN_DROPOUT),
        tiles=replace(plan.tiles, crop=geometry.input_size(min(largest_side, PAPER_OUTPUT))),
        steps_per_second=None,
        reasons={**plan.reasons, **_FCN_REASONS},
    )
    is_timed = measure is not None and plan.length.seconds is not None
    widths = FCN_WIDTHS[network] if is_timed and width is None else (first_width,)
    candidates = [
        replace(
            with_rate(changed, RATES_TIMES_WIDTH[network] / each),
            network=replace(changed.network, width=each),
        )
        for each in widths
    ]
    return _timed(candidates, measure, formats)


def with_rate(plan: Plan, rate: float) -> Plan:
    """Return the plan with another learning rate."""
    return replace(plan, optimizer=replace(plan.optimizer, learning_rate=rate))


def _timed(
    plans: Sequence[Plan],
    measure: Callable[[Plan], float] | None,
    formats: Sequence[TensorFormat],
) -> Plan:
    """Return the widest plan for the time there is; the first where nothing is to be measured."""
    first, seconds = plans[0], plans[0].length.seconds
    if measure is None or seconds is None:
        return warm_up_shortly(first)
    return warm_up_shortly(widest(plans, seconds, measure, formats or (first.tensors,)))


def search_rates(plan: Plan) -> tuple[float, ...]:
    """Return the learning rates to try, the plan's own first: it wins a tie.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> plan = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.001))
    >>> [round(rate, 5) for rate in search_rates(plan)]
    [0.001, 0.00032, 0.00316]
    """
    return tuple(plan.optimizer.learning_rate * factor for factor in RATE_FACTORS)


def share_of(plan: Plan, share: float) -> Plan:
    """Return the plan with a share of its length and its warm-up, one step at least."""
    warmup_steps = max(1, round(share * plan.optimizer.warmup_steps))
    return replace(
        plan,
        optimizer=replace(plan.optimizer, warmup_steps=warmup_steps),
        length=plan.length.times(share),
    )
