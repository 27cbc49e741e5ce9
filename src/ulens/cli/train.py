"""The command `ulens train`."""

from typing import Annotated

from ulens.cli.process import training_process
from ulens.cli.terminal import say, show_training
from ulens.jobs.options import EACH_AN_OPTION
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training


def train(settings: Annotated[TrainSettings, EACH_AN_OPTION]) -> None:
    """Train a model on annotated images."""
    with training_process() as stop:
        is_trained = show_training(run_training(settings, stop))
    if is_trained:
        say(f"model {settings.out}; how good it is: {settings.out / 'report.html'}")
