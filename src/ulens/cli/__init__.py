"""The command line: `ulens train`, `segment`, `evaluate`, `describe`, `datasets`, `demo`, …

Each command is a module of its own, which is loaded when it is called: so none waits for what
others need.
"""

import sys
import warnings
from typing import TextIO

from cyclopts import App
from rich.markup import escape

import ulens
from ulens.cli.printable import PlainConsole, make_printable
from ulens.cli.signals import interrupted_by_all
from ulens.errors import Stopped, UlensError

app = App(
    name="ulens",
    help="U-Net segmentation of microscope images from a handful of annotated samples.",
    version=ulens.__version__,
    suppress_keyboard_interrupt=False,
)
COMMANDS = {
    "annotate": "Annotate images in napari, train while painting, correct what the model finds.",
    "train": "Train a model on annotated images.",
    "inspect": "Show how images and labels are read, without training.",
    "segment": "Segment images with a trained model.",
    "suggest": "Show where a model is least certain: what to annotate next.",
    "evaluate": "Score segmentations against annotations.",
    "describe": "Describe a network and draw it as figure 1 of the paper.",
    "export": "Write a model for other programs: ONNX, or the BioImage Model Zoo.",
    "doctor": "Show what this computer and this installation have, for a report of a mistake.",
    "datasets": "List public data sets, or fetch one to train on.",
    "demo": "Simulate images, train, segment unseen ones, score, and write a report.",
    "compare": "Compare the U-Net with its rivals on your images: same images, same time, "
    "same machine.",
    "reproduce": "Train as published on the paper's data, and set our scores beside its own.",
}
"""What each command does: shown without loading it."""
_show_by_default = warnings.showwarning

for _name, _help in COMMANDS.items():
    _module = "paper" if _name in ("compare", "reproduce") else _name
    app.command(f"ulens.cli.{_module}:{_name}", help=_help)


def main() -> None:
    """Run the command line; a mistake of the user's ends with a message, not a traceback."""
    make_printable(sys.stdout)
    make_printable(sys.stderr)
    warnings.showwarning = _show_warning
    try:
        with interrupted_by_all():
            app(sys.argv[1:])
    except (KeyboardInterrupt, Stopped):
        PlainConsole(stderr=True).print("interrupted")
        sys.exit(130)
    except UlensError as error:
        _tell(str(error))
        sys.exit(1)
    except OSError as error:  # what the system refuses, wherever that is
        about = f"{error.filename}: " if error.filename else ""
        _tell(f"{about}{error.strerror or error}")
        sys.exit(1)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """Show a warning of ulens as a line of its own, without the place in the code."""
    if not category.__module__.startswith("ulens."):
        _show_by_default(message, category, filename, lineno, file, line)
        return
    from ulens.cli.terminal import say

    say(f"note: {message}")


def _tell(error: str) -> None:
    PlainConsole(stderr=True).print(f"[red]error[/red]: {escape(error)}", soft_wrap=True)
