import sys

import numpy as np
import pytest
from geff.core_io import read_to_memory
from geff.validate.data import ValidationConfig

from ulens.errors import OutputError, SettingError
from ulens.tracking.geff import check_package, is_geff, write_geff
from ulens.tracking.lineage import Lineage

# Object 1 is missed in frame 2, goes on as 2, and divides into 3 and 4; object 5 is seen once.
LINEAGE = Lineage([(1, 0, 1, 0), (2, 3, 4, 1), (3, 5, 6, 2), (4, 5, 5, 2), (5, 1, 1, 0)])
SEEN = ((1,), (1, 5), (), (2,), (2,), (3, 4), (3,))


def masks(first=0):
    """Frames of 8×20 px; label k is two rows high, three columns wide, from column 3k − 3 on."""
    for frame, labels in enumerate(SEEN, start=first):
        mask = np.zeros((8, 20), np.uint16)
        for label in labels:
            mask[frame - first : frame - first + 2, 3 * label - 3 : 3 * label] = label
        yield frame, mask


def read(path):
    """Read a graph with all the checks that geff has for one such as ours."""
    checks = ValidationConfig(graph=True, lineage=True, tracklet=True)
    return read_to_memory(path, data_validation=checks)


def values(graph, name):
    return graph["node_props"][name]["values"].tolist()


def test_nodes_are_the_objects_of_all_frames(tmp_path):
    write_geff(tmp_path / "out.geff", masks(), LINEAGE)
    graph = read(tmp_path / "out.geff")
    assert values(graph, "t") == [0, 1, 1, 3, 4, 5, 5, 6]
    assert values(graph, "label") == [1, 1, 5, 2, 2, 3, 4, 3]
    assert values(graph, "y") == [0.5, 1.5, 1.5, 3.5, 4.5, 5.5, 5.5, 6.5]
    assert values(graph, "x") == [1, 1, 13, 4, 4, 7, 10, 7]
    assert set(values(graph, "area")) == {6}


def test_edges_lead_on_over_gaps_and_to_daughters(tmp_path):
    write_geff(tmp_path / "out.geff", masks(), LINEAGE)
    graph = read(tmp_path / "out.geff")
    nodes = list(zip(values(graph, "t"), values(graph, "label"), strict=True))
    edges = {(nodes[source], nodes[target]) for source, target in graph["edge_ids"]}
    assert edges == {
        ((0, 1), (1, 1)),
        ((1, 1), (3, 2)),
        ((3, 2), (4, 2)),
        ((4, 2), (5, 3)),
        ((4, 2), (5, 4)),
        ((5, 3), (6, 3)),
    }
    assert graph["metadata"].directed


def test_a_tracklet_goes_on_over_gaps_and_a_lineage_over_divisions(tmp_path):
    write_geff(tmp_path / "out.geff", masks(), LINEAGE)
    graph = read(tmp_path / "out.geff")
    assert graph["metadata"].track_node_props == {"tracklet": "tracklet", "lineage": "lineage"}
    assert values(graph, "tracklet") == [1, 1, 5, 1, 1, 3, 4, 3]
    assert values(graph, "lineage") == [1, 1, 5, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("spacing_um", "scales", "unit"),
    [((0.5, 0.25), [None, 0.5, 0.25], "micrometer"), (None, [None] * 3, None)],
)
def test_axes_tell_the_pixel_size(tmp_path, spacing_um, scales, unit):
    write_geff(tmp_path / "out.geff", masks(), LINEAGE, spacing_um=spacing_um)
    axes = read(tmp_path / "out.geff")["metadata"].axes
    assert [(axis.name, axis.type, axis.unit) for axis in axes] == [
        ("t", "time", "frame"),
        ("y", "space", "pixel"),
        ("x", "space", "pixel"),
    ]
    assert [axis.scale for axis in axes] == scales
    assert [axis.scaled_unit for axis in axes] == [None, unit, unit]


def test_frames_keep_their_numbers(tmp_path):
    later = Lineage([(label, s + 54, e + 54, parent) for label, s, e, parent in LINEAGE.tracks])
    write_geff(tmp_path / "out.geff", masks(first=54), later)
    assert values(read(tmp_path / "out.geff"), "t") == [54, 55, 55, 57, 58, 59, 59, 60]


def test_a_sequence_without_objects_is_a_graph_without_nodes(tmp_path):
    write_geff(tmp_path / "out.geff", [(0, np.zeros((4, 5), np.uint16))], Lineage(()))
    graph = read(tmp_path / "out.geff")
    assert graph["node_ids"].size == graph["edge_ids"].size == 0


def test_an_older_graph_is_replaced_whole(tmp_path):
    path = tmp_path / "out.geff"
    write_geff(path, masks(), LINEAGE)
    write_geff(path, list(masks())[:1], Lineage([(1, 0, 0, 0)]))
    assert values(read(path), "label") == [1]


@pytest.mark.parametrize("name", ["notes.txt", "zarr.json", ".zattrs"])
def test_a_graph_is_told_from_other_folders(tmp_path, name):
    write_geff(tmp_path / "out.geff", masks(), LINEAGE)
    assert is_geff(tmp_path / "out.geff")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_text('{"ome": {}}')
    assert not is_geff(tmp_path / "other")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "geff", None)
    with pytest.raises(SettingError, match=r"need the package geff \(.*\); install it with pip"):
        check_package()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"out\.geff cannot be written \(.*\); choose another"):
        write_geff(tmp_path / "file" / "out.geff", masks(), LINEAGE)
