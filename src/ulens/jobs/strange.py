"""Images unlike those of the training, as a user is told of them: one by one, or summed up."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ulens.io.files import list_some
from ulens.predict.unlike import Unlike, in_one_line

ONE_BY_ONE = 20
"""Of so many images each gets a line of its own."""


@dataclass(slots=True)
class Strange:
    """The strange ones among the images of a job.

    Parameters
    ----------
    num_images : of the job; few get a line each, many are summed up at the end

    Examples
    --------
    >>> strange = Strange(300)
    >>> strange.tell("a.tif", [Unlike("much blurrier", "much blurrier: check the focus")])
    >>> strange.sum_up()
    ['1 of 300 images (a.tif): much blurrier: check the focus']
    """

    num_images: int
    _names: dict[str, list[str]] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, unlike: Sequence[Unlike]) -> str | None:
        """Return the line of an image, or keep it for the end."""
        if not unlike:
            return None
        if self.num_images <= ONE_BY_ONE:
            return f"{name}: {in_one_line(unlike)}"
        for kind, text in unlike:
            self._names.setdefault(kind, []).append(name)
            self._texts.setdefault(kind, text)
        return None

    def sum_up(self) -> list[str]:
        """Return a line for each kind, the most frequent first, in the words of its first image."""
        most_first = sorted(self._names.items(), key=lambda item: -len(item[1]))
        return [
            f"{len(names)} of {self.num_images} images ({list_some(names)}): {self._texts[kind]}"
            for kind, names in most_first
        ]
