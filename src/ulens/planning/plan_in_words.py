"""A plan as a biologist reads it: every choice in words, with its unit and its reason."""

import math
from dataclasses import dataclass

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.encodings.table import ENCODINGS
from ulens.nets.build import NETWORKS
from ulens.planning.plan import Plan
from ulens.resample import AS_IT_IS, Zoom

_OPTIMIZERS = {"adamw": "AdamW", "sgd": "stochastic gradient descent"}
_SELF_EXPLANATORY = {
    "width": "as asked",
    "seconds": "the time given",
    "steps": "the number given; this computer then makes the same model every time",
    "balanced": "drawn at random at each step",
    "seed": "with the same seed and number of steps the same is drawn",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One choice of a plan.

    Parameters
    ----------
    about : what it belongs to: 'the examples', 'the network', 'the learning'
    name : the plan's field
    what : what was chosen, in words
    value : the choice in words, with its unit
    why : the reason; '' where the plan has none
    """

    about: str
    name: str
    what: str
    value: str
    why: str


def put_in_words(plan: Plan) -> list[Choice]:
    """Return the choices of a plan, those that belong together side by side."""
    values = {
        "the examples": _examples(plan) | _weights(plan),
        "the network": _network(plan),
        "the learning": _learning(plan),
    }
    reasons = _SELF_EXPLANATORY | plan.reasons
    if "memory_format" in reasons:  # measured together with the precision
        reasons["precision"] = reasons["memory_format"]
    return [
        Choice(about=about, name=name, what=what, value=value, why=reasons.get(name, ""))
        for about, words in values.items()
        for name, (what, value) in words.items()
    ]


def name_length(plan: Plan) -> str:
    """Return how long a training is to be: '20 minutes', '90 seconds', '300 steps'."""
    if plan.length.seconds is None:
        return f"{plan.length.steps} steps"
    is_short = plan.length.seconds < 120
    return (
        f"{plan.length.seconds:.0f} seconds"
        if is_short
        else f"{plan.length.seconds / 60:.3g} minutes"
    )


Words = dict[str, tuple[str, str]]


def _examples(plan: Plan) -> Words:
    place = (
        "around pixels of each class in turn" if plan.tiles.balanced else "anywhere in the images"
    )
    return {
        "encoding": ("what is learned", ENCODINGS[plan.encoding.name].learns),
        "zoom": ("size in which images are seen", _name_zoom(plan.tiles.zoom)),
        "crop": ("size of a tile", f"{plan.tiles.crop} × {plan.tiles.crop} px"),
        "batch": ("tiles per step", str(plan.tiles.batch)),
        "balanced": ("place of a tile", place),
        "geometry": ("shapes are varied", _name_geometry(plan.augmentation.geometry)),
        "intensity": ("grey values are varied", _name_intensity(plan.augmentation.intensity)),
    }


def _weights(plan: Plan) -> Words:
    if not ENCODINGS[plan.encoding.name].by_class:
        return {}
    gaps = "weigh no more than other background"
    if plan.encoding.border_weight:
        gaps = f"weigh up to {plan.encoding.border_weight:g} more, the narrower the more"
    if plan.encoding.weight_map == "falk":
        return {"weight_map": ("gaps between neighbours", f"{gaps}; far background weighs less")}
    return {
        "class_weights": ("weight of the classes", _name_weights(plan.encoding.class_weights)),
        "weight_map": ("gaps between neighbours", gaps),
    }


def _network(plan: Plan) -> Words:
    kind = NETWORKS[plan.network.name]
    name = kind.words.format(num_scales=plan.network.depth + 1, window=plan.network.window)
    words = {
        "network": ("network", name),
        "width": ("width", f"{plan.network.width} channels at its first level"),
    }
    if "negative_slope" in kind.settings:
        slope = plan.network.negative_slope
        words["negative_slope"] = (
            "negative signals",
            f"{slope:.3g} of each is passed on (leaky ReLU)" if slope else "cut off (ReLU)",
        )
        words["batch_norm"] = (
            "signals while learning",
            "brought to one scale at each level (batch normalisation)"
            if plan.network.batch_norm
            else "as they are",
        )
    if kind.has_dropout:
        words["dropout"] = (
            "deepest signals",
            f"{plan.network.dropout:.0%} left out at random while learning (dropout)",
        )
    return words


def _learning(plan: Plan) -> Words:
    is_falling = plan.optimizer.schedule == "cosine"
    warmup = (
        f"it rises from 0 over {plan.optimizer.warmup_steps} steps"
        if plan.optimizer.warmup_steps
        else "at once"
    )
    limit = (
        f"the gradient's norm is kept to {plan.optimizer.clip_norm:g}"
        if plan.optimizer.clip_norm
        else "none"
    )
    bits = (
        "16 bits where that is safe (bf16)"
        if plan.tensors.precision == "bf16"
        else "32 bits (fp32)"
    )
    order = (
        "pixel by pixel" if plan.tensors.memory_format == "channels_last" else "channel by channel"
    )
    kept = "those of the last step"
    if plan.optimizer.averaging:
        kept = f"mean over about the last {1 / (1 - plan.optimizer.averaging):.0f} steps"
    return {
        "steps" if plan.length.steps else "seconds": ("length", name_length(plan)),
        "optimizer": (
            "method of learning",
            f"{_OPTIMIZERS[plan.optimizer.name]}, momentum {plan.optimizer.momentum:g}",
        ),
        "weight_decay": (
            "weight decay",
            f"{plan.optimizer.weight_decay:g}" if plan.optimizer.weight_decay else "none",
        ),
        "learning_rate": ("learning rate", f"{plan.optimizer.learning_rate:.3g}"),
        "warmup_steps": ("at the start", warmup),
        "schedule": (
            "later",
            "it falls to a hundredth by the end" if is_falling else "it stays the same",
        ),
        "clip_norm": ("limit of a step", limit),
        "averaging": ("weights that are kept", kept),
        "precision": ("arithmetic", f"{bits}, in memory {order}"),
        "seed": ("random draws", f"seed {plan.seed}"),
    }


def _name_weights(weights: tuple[float, ...]) -> str:
    if all(math.isclose(weight, weights[0]) for weight in weights):
        return "all alike"
    if len(weights) == 2:
        return f"background {weights[0]:.3g}, foreground {weights[1]:.3g}"
    return ", ".join(f"{weight:.3g}" for weight in weights) + ", by rising label value"


def _name_zoom(zoom: Zoom) -> str:
    if zoom == AS_IT_IS:
        return "as they are"
    if zoom[0] == zoom[1]:
        return f"{zoom[0]:.3g} times as high and wide"
    return f"{zoom[0]:.3g} times as high, {zoom[1]:.3g} times as wide"


def _name_geometry(settings: GeometrySettings) -> str:
    turned = "by any angle" if settings.rotation_deg >= 180 else f"up to {settings.rotation_deg:g}°"
    low, high = settings.scale
    words = {
        f"turned {turned}": settings.rotation_deg > 0,
        "mirrored": settings.mirror,
        f"enlarged {low:g} to {high:g} times": low < high or high != 1,
        f"bent by about {settings.elastic_sd_px:g} px": settings.elastic_sd_px > 0,
    }
    return ", ".join(word for word, is_varied in words.items() if is_varied) or "not at all"


def _name_intensity(settings: IntensitySettings) -> str:
    low, high = settings.slope
    words = {
        f"contrast {low:g} to {high:g} times": low < high or high != 1,
        f"brightness by about {settings.offset_sd:.0%}": settings.offset_sd > 0,
        f"noise up to {settings.noise_sd:.0%} of the contrast": settings.noise_sd > 0,
        f"blur up to {settings.blur_sd_px:g} px": settings.blur_sd_px > 0,
    }
    return ", ".join(word for word, is_varied in words.items() if is_varied) or "not at all"
