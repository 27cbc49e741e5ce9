"""The command `ulens train`."""

from typing import Annotated

from ulens.cli.process import training_process
from ulens.cli.summary import Summary, keep_notes, summarized
from ulens.cli.terminal import say, show_training
from ulens.jobs.options import EACH_AN_OPTION
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training
from ulens.training.model_folder import PLAN, REPORT


@summarized
def train(settings: Annotated[TrainSettings, EACH_AN_OPTION], *, summary: Summary) -> None:
    """Train a model on annotated images."""
    with training_process() as stop:
        trained = show_training(keep_notes(run_training(settings, stop), summary))
    summary["plan"] = settings.out / PLAN
    if trained is None:
        return
    report = settings.out / REPORT
    say(f"model {settings.out}; how good it is: {report}")
    bundle = trained.bundle
    summary |= {"model": settings.out, "report": report, "stopped": trained.stopped}
    summary |= {"scores": bundle.scores, "provenance": bundle.provenance}
