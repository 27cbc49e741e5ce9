import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ulens.errors import OutputError, ShapeError
from ulens.report.charts import figure_png, loss_chart
from ulens.report.page import Picture, Section, Table, write_report

HOSTILE = "<script>alert('x')</script> & \"cells\" {{ 7 * 7 }}.tif"


class Reader(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.attributes = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())


def page(tmp_path, **changes):
    content = {"title": "Model", "summary": [], "sections": []} | changes
    write_report(tmp_path / "report.html", **content)
    return (tmp_path / "report.html").read_text("utf-8")


def test_tells_all_it_was_given_in_order(tmp_path):
    section = Section(
        title="Best image",
        text="First paragraph.\n\nSecond paragraph.",
        table=Table(header=["image", "V_Rand"], rows=[["a.tif", 0.97531]]),
        images=[Picture(image=np.zeros((4, 6), np.uint8), caption="image")],
        closing="Last words.",
    )
    reader = Reader(page(tmp_path, summary=[("V_Rand", "0.975")], sections=[section]))
    assert reader.text[-11:] == [
        "V_Rand", "0.975", "Best image", "First paragraph.", "Second paragraph.",
        "image", "V_Rand", "a.tif", "0.9753", "image", "Last words.",
    ]  # fmt: skip
    assert reader.tags.count("p") == 3


def test_escapes_what_is_the_users(tmp_path):
    pixel = np.zeros((1, 1), np.uint8)
    section = Section(
        title=HOSTILE,
        text=HOSTILE,
        table=Table(header=[HOSTILE], rows=[[HOSTILE]]),
        images=[Picture(image=pixel, caption=HOSTILE)],
        closing=HOSTILE,
    )
    html = page(tmp_path, title=HOSTILE, summary=[(HOSTILE, HOSTILE)], sections=[section])
    reader = Reader(html)
    assert "script" not in reader.tags
    assert reader.text.count(HOSTILE) == 10
    assert ("alt", HOSTILE) in reader.attributes


def test_needs_no_network_and_no_script(tmp_path):
    png = figure_png(loss_chart([{"step": 1, "seconds": 1.0, "loss": 1.0}]))
    section = Section(title="Training", images=[Picture(image=png, caption="loss")])
    html = page(tmp_path, sections=[section])
    reader = Reader(html)
    assert not {"script", "link", "iframe"} & set(reader.tags)
    sources = [value for name, value in reader.attributes if name in ("src", "href")]
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|url\(|@import", html)


def test_pictures_survive_to_the_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    section = Section(title="", images=[Picture(image=pixels, caption="noise")])
    encoded = re.search(r"base64,([^\"]+)", page(tmp_path, sections=[section])).group(1)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    np.testing.assert_array_equal(shown, pixels)


def test_short_facts_are_set_large_and_long_ones_as_lines(tmp_path):
    html = page(tmp_path, summary=[("measured on", "five images kept apart"), ("Dice", "0.91")])
    assert html.index('class="figures"') < html.index("0.91") < html.index('class="facts"')
    assert html.index('class="facts"') < html.index("five images kept apart")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.97284, "0.9728"),
        (12, "12"),
        (31030658, "31,030,658"),
        (np.int64(1234), "1,234"),
        (1.0, "1.0000"),
        (34.5678, "34.57"),
        (1234.56, "1,235"),
        (float("nan"), "–"),
        ("0.1234567", "0.1234567"),
        (np.float32(0.5), "0.5000"),
    ],
)
def test_numbers_are_rounded_for_the_eye(tmp_path, value, shown):
    table = Table(header=["x"], rows=[[value]])
    html = page(tmp_path, sections=[Section(title="", table=table)])
    assert re.search(rf"<td[^>]*>{re.escape(shown)}</td>", html)


def test_replaces_an_older_report_and_leaves_nothing_else(tmp_path):
    page(tmp_path, title="old")
    assert "<h1>new</h1>" in page(tmp_path, title="new")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_older_report(tmp_path, monkeypatch):
    page(tmp_path, title="old")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OutputError, match=r"report\.html: No space left on device; check the"):
        page(tmp_path, title="new")
    assert "<h1>old</h1>" in (tmp_path / "report.html").read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_says_where_it_could_not_write(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write the report .*missing"):
        write_report(tmp_path / "missing" / "r.html", title="", summary=[], sections=[])


def test_says_which_row_is_too_short():
    with pytest.raises(ShapeError, match="row 2 of the table has 1 cells, its header 2 columns"):
        Table(header=["a", "b"], rows=[[1, 2], [3]])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"GIF89a", "bytes of 'cells' are no PNG or WebP file; give one"),
        (np.zeros((4, 4)), r"picture 'cells' is \(4, 4\) float64; give \(Y, X\)"),
        (np.zeros((3, 4, 4), np.uint8), r"picture 'cells' is \(3, 4, 4\) uint8; give \(Y, X\)"),
    ],
)
def test_says_what_a_picture_must_be(image, message):
    with pytest.raises(ShapeError, match=message):
        Picture(image=image, caption="cells")
