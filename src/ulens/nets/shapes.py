"""Sizes of unpadded networks: which inputs fit, how much border the output loses."""

from dataclasses import dataclass

from ulens.errors import SettingError, ShapeError

DEEPEST = 12
"""Poolings of a U-Net at most; at 12 its smallest input is 49,148 pixels wide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The contract between an unpadded network and whoever cuts its tiles.

    A network with this geometry maps an input of `n` pixels along an axis to
    ``n - 2 * margin``, and takes the sizes ``base + alignment * k``, k = 0, 1, 2, …

    Parameters
    ----------
    base : smallest input size in pixels
    alignment : step between valid sizes; also the step by which a tile may be moved
        without becoming a different function (pooling is aligned to it)
    margin : pixels of context lost on each side
    """

    base: int
    alignment: int
    margin: int

    def is_valid(self, size: int) -> bool:
        """Whether an input of `size` pixels fits the network."""
        return size >= self.base and (size - self.base) % self.alignment == 0

    def input_size(self, output_size: int) -> int:
        """Return the smallest valid input size whose output holds `output_size` pixels.

        Examples
        --------
        >>> unet_geometry(4).input_size(512)
        700
        """
        smallest = self.base - 2 * self.margin
        num_steps = max(0, -(-(output_size - smallest) // self.alignment))
        return self.base + num_steps * self.alignment

    def output_size(self, input_size: int) -> int:
        """Return the output size for a valid `input_size`."""
        return input_size - 2 * self.margin

    def in_words(self) -> str:
        """Return the sizes that fit, in words.

        Examples
        --------
        >>> unet_geometry(4).in_words()
        'sizes 16k+188, k = 0, 1, 2, …'
        """
        if self.alignment == 1:
            return f"every size from {self.base} up"
        return f"sizes {self.alignment}k+{self.base}, k = 0, 1, 2, …"

    def check(self, height: int, width: int, name: str) -> None:
        """Raise ShapeError unless both sizes are valid inputs of the network called `name`."""
        if self.is_valid(height) and self.is_valid(width):
            return
        fit_y, fit_x = (self._next_valid(size) for size in (height, width))
        out_y, out_x = self.output_size(fit_y), self.output_size(fit_x)
        raise ShapeError(
            f"image is {height}×{width}; {name} takes {self.in_words()}; pad to {fit_y}×{fit_x} "
            f"(output {out_y}×{out_x}) or call segment(), which mirrors and tiles for you"
        )

    def _next_valid(self, size: int) -> int:
        return self.input_size(self.output_size(size))


def unet_geometry(depth: int) -> Geometry:
    """Return the geometry of the paper's U-Net with `depth` poolings.

    Every size on the way down must be even before it is pooled and the last
    up-convolution must leave at least one pixel of output.

    Raises
    ------
    SettingError : the depth is below 1 or above `DEEPEST`

    Examples
    --------
    >>> unet_geometry(4)
    Geometry(base=188, alignment=16, margin=92)
    """
    if not 1 <= depth <= DEEPEST:
        raise SettingError(f"depth is {depth}; a U-Net needs 1 to {DEEPEST}")
    alignment = 2**depth
    # each level loses 4 px on the way down and 4 px on the way up, the bottom 4 px once
    margin = (4 * alignment + 2 * 4 * (alignment - 1)) // 2
    # sizes that every pooling halves leave 4 px, or any multiple of the alignment more or less
    return Geometry(base=2 * margin + min(4, alignment), alignment=alignment, margin=margin)
