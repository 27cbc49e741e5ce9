from pathlib import Path

import pytest

from ulens.errors import SettingError
from ulens.jobs.segmenting import SegmentSettings


def settings(out, **options):
    return SegmentSettings(Path("m"), Path("images"), out=Path(out), **options)


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        (
            "a.zarr",
            {"track": True},
            r"track came with out a\.zarr, a file, .* give a folder",
        ),
        ("a.tif", {"rois": "imagej", "table": Path("t.csv")}, r"rois and table came .* leave rois"),
        ("a", {"workers": 2}, r"workers came with out a, a folder; .* or leave workers out"),
        ("a", {"axes": "ZXC"}, r"axes are 'ZXC'; need Y and X and at most one each of T, C and Z"),
        ("a", {"workers": 2, "scheduler": "tcp://1"}, "workers and scheduler came with out a, a f"),
        ("a", {"halo_px": 0}, "halo_px came with out a"),
        (
            "a",
            {"track": True, "probabilities": True},
            "track came with probabilities, but a res",
        ),
        ("a", {"track": True, "only": ()}, "only came with track, or with out a file"),
        ("a.tif", {"only": ()}, "only came with track, or with out a file"),
        ("a", {"geff": True}, "geff came without track; a graph needs tracks, so add track"),
        (
            "a.tif",
            {"workers": 2, "scheduler": "tcp://1"},
            "workers is 2, scheduler is tcp://1",
        ),
        ("a.tif", {"workers": 0}, "workers is 0; need 1 or more"),
        ("a", {"zoom": 0.0}, "zoom"),
    ],
)
def test_settings_that_do_not_go_together_are_named(out, options, message):
    with pytest.raises(SettingError, match=message):
        settings(out, **options)


def test_settings_that_go_together():
    settings("a", track=True, geff=True, average="rotations7")
    settings("a", probabilities=True, rois="geojson", table=Path("t.csv"))
    settings("a", axes="zyx")
    settings("a.zarr", axes="ZYX", workers=2, block_px=32, halo_px=0)
