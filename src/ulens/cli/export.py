"""The command `ulens export`."""

from typing import Annotated

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import say
from ulens.jobs.export import ExportSettings
from ulens.jobs.export import export as export_model
from ulens.jobs.options import EACH_AN_OPTION


@summarized
def export(settings: Annotated[ExportSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Write a model for other programs: ONNX, or a package of the BioImage Model Zoo."""
    for line in export_model(settings):
        say(line)
        summary["notes"].append(line)
    summary["written"] = [settings.out]
