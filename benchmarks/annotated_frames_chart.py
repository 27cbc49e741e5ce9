"""Draw SEG against the number of annotated frames.

Run by benchmarks/annotated_frames: python benchmarks/annotated_frames_chart.py OUT/NAME
reads NAME-5.GT.json, NAME-5.ST.json and so on for each number of frames, and writes NAME.png.
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from ulens.report.charts import INK, LINES, figure_png

TRUTHS = {"ST": "silver truth, 054–083", "GT": "gold truth, 054 and 067"}


def main() -> None:
    """Draw and write."""
    name = Path(sys.argv[1])
    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    for (truth, label), color in zip(TRUTHS.items(), LINES, strict=False):
        scores = read_scores(name, truth)
        panel.plot(*zip(*sorted(scores.items()), strict=True), "o-", color=color, label=label)
        panel.set_xscale("log")
        panel.set_xticks(sorted(scores), minor=False)
    panel.minorticks_off()
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.set_xlabel("annotated frames", color=INK)
    panel.set_ylabel("SEG", color=INK)
    panel.tick_params(colors=INK)
    panel.spines[:].set_color(INK)
    panel.grid(color=INK, alpha=0.2, linewidth=0.6)
    panel.legend(frameon=False, labelcolor=INK)
    name.with_name(f"{name.name}.png").write_bytes(figure_png(figure))


def read_scores(name: Path, truth: str) -> dict[int, float]:
    """Return SEG by number of annotated frames."""
    files = name.parent.glob(f"{name.name}-*.{truth}.json")
    return {
        int(file.name.removeprefix(f"{name.name}-").split(".")[0]): json.loads(
            file.read_text("utf-8")
        )["scores"]["ctc"]["SEG"]
        for file in files
    }


if __name__ == "__main__":
    main()
