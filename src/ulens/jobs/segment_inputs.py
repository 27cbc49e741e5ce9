"""Which images a segmentation reads, and how: as the user asks for, or as the model was trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ulens.bundle import ModelBundle
from ulens.io.channel_files import find_channel_files
from ulens.io.reading import Reading, as_texts


class Asked(Protocol):
    """How a user asks for images to be read."""

    @property
    def axes(self) -> str | None:
        """Letters, as in `Reading`."""

    @property
    def scene(self) -> str | None:
        """Number or name, as in `Reading`."""

    @property
    def channel(self) -> tuple[str, ...]:
        """Numbers or names, as in `Reading`."""


def reading_for(settings: Asked, bundle: ModelBundle) -> Reading:
    """Return how to read images: with the channels that are asked for, or those of the training."""
    asked, learned = as_texts(settings.channel), _learned(bundle)
    return Reading(
        axes=settings.axes,
        scene=settings.scene,
        channels=asked or learned,
        unless=len(learned) if learned and not asked else None,
    )


def find_images(
    settings: Asked, bundle: ModelBundle, files: Sequence[Path]
) -> tuple[list[Path], Reading, list[str]]:
    """Return the images of files, of each its first one, how to read them, and what to know of it.

    Channels that lie beside each other as files are joined for a model that takes several, and
    where channels are chosen.
    """
    reading = reading_for(settings, bundle)
    takes_one = bundle.net.in_channels == 1 and not reading.channels
    found = find_channel_files(
        files,
        settings.axes,
        apart="the model takes one channel; --channel chooses one" if takes_one else None,
    )
    notes = [*found.notes, *describe_channels(settings, bundle)]
    return found.images, replace(reading, beside=found.beside), notes


def describe_channels(settings: Asked, bundle: ModelBundle) -> list[str]:
    """Return a sentence where other channels are asked for than those of the training."""
    asked, learned = as_texts(settings.channel), _learned(bundle)
    if not asked or not learned or asked == learned:
        return []
    return [
        f"the model was trained on channel {' and '.join(learned)}, {' and '.join(asked)} is asked "
        "for"
    ]


def _learned(bundle: ModelBundle) -> tuple[str, ...]:
    return tuple(bundle.provenance.get("channels", ()))
