"""What a user of StarDist writes, after the notebooks of its documentation."""

from pathlib import Path

from csbdeep.utils import normalize
from stardist import fill_label_holes
from stardist.models import Config2D, StarDist2D
from tifffile import imread, imwrite

images = [normalize(imread(file), 1, 99.8) for file in sorted(Path("images").glob("*.tif"))]
labels = [fill_label_holes(imread(file)) for file in sorted(Path("labels").glob("*.tif"))]
config = Config2D(n_rays=32, grid=(2, 2), train_patch_size=(256, 256), train_tensorboard=False)
model = StarDist2D(config, name="cells", basedir="models")
held_out = images[-1:], labels[-1:]
model.train(images[:-1], labels[:-1], validation_data=held_out, epochs=5, steps_per_epoch=5)
model.optimize_thresholds(*held_out)
Path("masks").mkdir()
for file in sorted(Path("new").glob("*.tif")):
    found, _ = model.predict_instances(normalize(imread(file), 1, 99.8))
    imwrite(Path("masks", file.name), found.astype("uint16"))
