from ulens.report.lineage_chart import lineage_chart, order_rows
from ulens.tracking.lineage import Lineage, divisions, join_gaps


def test_parents_stand_between_their_children_over_generations():
    lineage = Lineage([(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 5, 1), (4, 4, 5, 2), (5, 4, 5, 2)])
    assert order_rows(lineage) == [4, 2, 5, 1, 3]
    assert divisions(lineage) == [1, 2]


def test_an_object_keeps_its_row_over_gaps():
    rows = [(label, 2 * label, 2 * label, label - 1) for label in range(1, 3001)]
    lineage = Lineage([*rows, (3001, 6001, 6001, 3000), (3002, 6001, 6001, 3000)])
    assert order_rows(lineage) == [3001, 1, 3002]
    assert divisions(lineage) == [3000]
    assert join_gaps(lineage) == dict.fromkeys(range(1, 3001), 1) | {3001: 3001, 3002: 3002}


def test_thousands_of_generations_are_ordered():
    rows = [(1, 0, 0, 0)]
    for generation in range(1, 2001):
        parent = rows[-1][0]
        rows += [(2 * generation + k, generation, generation, parent) for k in (0, 1)]
    assert sorted(order_rows(Lineage(rows))) == [row[0] for row in rows]


def test_every_track_is_a_line_over_its_frames():
    lineage = Lineage([(1, 3, 4, 0), (2, 5, 9, 1), (3, 5, 7, 1)])
    panel, counts = lineage_chart(lineage, [1, 1, 2, 2, 2, 1, 1], first_frame=3).axes
    spans = [tuple(line.get_xdata()) for line in panel.lines]
    assert {(2.6, 4.4), (4.6, 9.4), (4.6, 7.4)} <= {
        (round(a, 6), round(b, 6)) for a, b in (span for span in spans if len(span) == 2)
    }
    assert len([span for span in spans if len(span) == 1]) == 2  # the dot, once for each daughter
    assert counts.get_xlabel() == "frame"


def test_no_tracks_make_an_empty_chart():
    assert len(lineage_chart(Lineage(()), [0, 0]).axes[0].lines) == 0
