"""The command `ulens describe`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from ulens.cli.terminal import console
from ulens.jobs.describe import describe as describe_network
from ulens.jobs.options import FLAG


def describe(
    model_or_recipe: str,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    overwrite: Annotated[bool, FLAG] = False,
) -> None:
    """Describe a network and draw it as figure 1 of the paper.

    Parameters
    ----------
    model_or_recipe
        folder of a model, default, or paper
    out
        figure to write, .svg, .png or .pdf
    overwrite
        replace a figure of that name
    """
    for line in describe_network(model_or_recipe, out, overwrite=overwrite):
        console.print(escape(line), soft_wrap=True)
