"""Models for other programs: ONNX, and the format of the BioImage Model Zoo."""
