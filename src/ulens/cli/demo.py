"""The command `ulens demo`."""

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from ulens.cli.process import training_process
from ulens.cli.summary import Summary, keep_notes, summarized
from ulens.cli.terminal import in_words, say, show_until
from ulens.jobs.demo import DemoResult, DemoSettings, run_demo
from ulens.jobs.options import EACH_AN_OPTION

DEFAULTS = DemoSettings()
"""Without them `ulens demo`, which has nothing but options, would ask for one."""


@summarized
def demo(settings: Annotated[DemoSettings, EACH_AN_OPTION] = DEFAULTS, *, summary: Summary) -> None:
    """Simulate images, train, segment unseen ones, score, and write a report."""
    with training_process() as stop:
        result = show_until(keep_notes(run_demo(settings, stop), summary), DemoResult)
    assert result is not None
    summary |= asdict(result)
    for name, scores in result.scores.items():
        say(f"{name}, unseen images: {in_words(scores)}")
    say(f"\nmade in {result.report.parent}:")
    say(f"  {result.report.name}: scores and pictures; open it in a browser")
    for model in result.models:
        say(f"  {model.name}: a trained model, with a report of its own")
    for folder in result.simulated:
        say(f"  {folder.name}: the simulated images, with their labels")
    program = _program()
    say("\nnext, with annotated images of your own:")
    say(f"  {program} train my_images/ my_labels/ --time 20min -o my.model")
    say(f"  {program} segment my.model new_images/ -o masks/")


def _program() -> str:
    """Return what to type to run ulens: its name, or its place where it is not on PATH."""
    if shutil.which("ulens"):
        return "ulens"
    program, here = Path(sys.executable).with_name("ulens"), Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)
