"""The job `describe`: a network in words and as the paper's figure 1."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, get_args

import torch

from ulens.bundle import find_model, load_bundle
from ulens.errors import ModelError, SettingError
from ulens.io.writable import check_writable
from ulens.jobs.options import FLAG, OUT
from ulens.nets.build import describe_architecture, name_network
from ulens.nets.figure import draw
from ulens.nets.network import Network
from ulens.nets.properties import count_parameters
from ulens.nets.unet import UNet
from ulens.planning.plan import Recipe
from ulens.planning.recipes import DEFAULT_WIDTH, NEGATIVE_SLOPE, PAPER_WIDTH
from ulens.training.evidence import name_grounds, name_scores

RECIPES = {"default": (DEFAULT_WIDTH, NEGATIVE_SLOPE), "paper": (PAPER_WIDTH, 0.0)}


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """What a user asks of a description; `ulens describe` has an option for each.

    Parameters
    ----------
    model_or_recipe
        folder of a model, default, or paper
    out
        figure to write, .svg, .png or .pdf
    overwrite
        replace a figure of that name
    """

    model_or_recipe: str
    _: KW_ONLY
    out: Annotated[Path | None, OUT] = None
    overwrite: Annotated[bool, FLAG] = False


def describe(settings: DescribeSettings) -> list[str]:
    """Describe a network and draw it.

    Returns
    -------
    sentences to print
    """
    out = settings.out
    if out is not None:
        check_writable(out, "figure", overwrite=settings.overwrite)
    net, lines = _network(settings.model_or_recipe)
    geometry = net.geometry
    lines.append(
        f"{name_network(describe_architecture(net))}: {net.in_channels} channel(s) in, "
        f"{net.num_classes} out, {count_parameters(net):,} parameters"
    )
    lines.append(
        f"takes {geometry.in_words()}, in pixels; the output is {geometry.margin} px smaller on "
        "each side"
    )
    if out is not None:
        if not isinstance(net, UNet):
            raise SettingError(
                f"{settings.model_or_recipe} is no U-Net, and figure 1 shows one; leave the "
                "figure out"
            )
        draw(net, out)
        lines.append(f"figure {out}")
    return lines


def _network(model_or_recipe: str) -> tuple[Network, list[str]]:
    if model_or_recipe in RECIPES:
        width, negative_slope = RECIPES[model_or_recipe]
        with torch.device("meta"):
            net = UNet(width=width, negative_slope=negative_slope)
        return net, [f"{model_or_recipe} recipe"]
    folder = find_model(Path(model_or_recipe))
    if not folder.exists():
        raise ModelError(
            f"{model_or_recipe} is neither a model folder nor a recipe "
            f"({' or '.join(get_args(Recipe))})"
        )
    bundle = load_bundle(folder)
    lines = [
        f"model {folder}: {bundle.labels_are}, encoding {bundle.encoding}, "
        f"label values {bundle.class_values}"
    ]
    if bundle.hardly_trained:
        lines.append(f"hardly trained: {bundle.hardly_trained}")
    lines += [f"held-out {score}" for score in name_scores(bundle)] + name_grounds(bundle)
    return bundle.net, lines
