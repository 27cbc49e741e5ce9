"""The command `ulens annotate`."""

import os
import sys
from pathlib import Path
from typing import Any

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal import say
from ulens.errors import SettingError
from ulens.project.project import Project


@summarized
def annotate(images: Path, *, summary: Summary) -> None:
    """Annotate images in napari, train while painting, and correct what the model finds.

    Parameters
    ----------
    images
        folder of images, which is never written to; labels and models are kept in a folder beside
        it, whose name ends in -ulens
    """
    _check_screen()
    project = Project.open(images)
    say(f"labels and models are kept in {project.folder}")
    _run(project)
    summary |= {"project": project.folder, "rounds": project.rounds()}


def _check_screen() -> None:
    """Raise SettingError where no window can open: Qt would end the process."""
    screens = "DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"
    if sys.platform == "linux" and not any(map(os.environ.get, screens)):
        raise SettingError(
            "napari needs a screen, and DISPLAY names none; run this in a desktop session, or over "
            "ssh with -X"
        )


def _run(project: Project) -> None:
    """Open napari with the seat, until its window is closed."""
    try:
        import napari

        from ulens.napari.seat import Seat
    except ImportError as error:
        raise SettingError(
            f"annotating needs napari ({error}); install it with: pip install 'ulens[napari]'"
        ) from error
    viewer: Any = napari.Viewer(title=f"{project.images.name} – ulens")
    seat = Seat(viewer)
    viewer.window.add_dock_widget(seat, name="ulens", area="right")
    seat.open_project(project.folder)
    napari.run()
