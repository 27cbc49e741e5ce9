import io

import numpy as np
from PIL import Image

from ulens.report.charts import figure_png, loss_chart


def rows(num, every=0):
    log = [
        {"step": n, "seconds": 2.0 * n, "loss": 1 / n, "learning_rate": 1e-3}
        for n in range(1, num + 1)
    ]
    for row in log[every - 1 :: every] if every else []:
        row["score"] = {"V_Rand": 1 - row["loss"], "V_Info": 1 - row["loss"] / 2}
    return log


def test_scores_get_a_panel_of_their_own_over_minutes():
    loss, scores = loss_chart(rows(90, every=30)).axes
    assert loss.get_title("left") == "loss"
    line = scores.lines[0]
    np.testing.assert_allclose(line.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(line.get_ydata(), [1 - 1 / 30, 1 - 1 / 60, 1 - 1 / 90])
    assert [text.get_text() for text in scores.get_legend().get_texts()] == [
        "V_Rand  0.989",
        "V_Info  0.994",
    ]


def test_without_scores_the_loss_stands_alone():
    assert len(loss_chart(rows(20)).axes) == 1


def test_a_score_that_starts_late_and_an_empty_one_are_drawn():
    log = rows(20, every=10)
    log[9]["score"] = {"V_Rand": 0.5}
    log[4]["score"] = {}
    assert [len(line.get_xdata()) for line in loss_chart(log).axes[1].lines] == [2, 1]


def test_a_run_of_no_one_or_infinite_steps_is_drawn():
    broken = rows(3)
    broken[1]["loss"] = float("inf")
    for log in ([], rows(1), broken, [{"step": 1, "seconds": 1.0, "loss": float("nan")}]):
        assert figure_png(loss_chart(log)).startswith(b"\x89PNG")


def test_png_is_transparent_and_the_same_each_time():
    png = figure_png(loss_chart(rows(5)))
    assert np.asarray(Image.open(io.BytesIO(png)))[0, 0, 3] == 0
    assert png == figure_png(loss_chart(rows(5)))
