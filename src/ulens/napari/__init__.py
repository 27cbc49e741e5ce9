"""A seat in napari: annotate, train, correct. All arithmetic lies in the rooms below."""
