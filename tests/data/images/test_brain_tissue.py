import gzip
import struct
from typing import get_args

import numpy as np
import pytest

from jaxkd.data.images.brain_tissue import MNI152_GREY, MNI152_T1, MNI152_WHITE, BrainTissue, read_volume
from jaxkd.data.images.source import require_disjoint_groups
from jaxkd.runtime.packages import fetch
from jaxkd.typing import Split

SPLITS = get_args(Split)


def heights(split):
    return np.array([int(key.removeprefix("slice-")) for key, _ in BrainTissue().groups(split)])


def test_slabs_are_groups_and_no_test_slice_has_a_neighbour_in_training():
    assert {split: len(heights(split)) for split in SPLITS} == {"train": 48, "validation": 24, "test": 24}
    for other in ("test", "validation"):
        assert abs(heights("train")[:, None] - heights(other)).min() == 5
    assert abs(heights("validation")[:, None] - heights("test")).min() > 5
    assert sorted({group for _, group in BrainTissue().groups("test")}) == ["slab-1", "slab-5"]
    for split in SPLITS:
        groups = dict(BrainTissue().groups(split))
        assert all(groups[f"slice-{height:03d}"] == f"slab-{(height - 24) // 16}" for height in heights(split))


def test_a_slice_has_all_of_its_tissue_upright(packaged_images):
    for tissue, file in (("grey", MNI152_GREY), ("white", MNI152_WHITE)):
        source = BrainTissue(tissue=tissue)
        require_disjoint_groups(source)
        volume = read_volume(fetch(file))
        for example in source.examples("test")[::6]:
            height = int(example.key.removeprefix("slice-"))
            assert example.image.shape == (192, 192, 3)
            assert example.target.dtype == np.uint8
            assert example.target.sum() == (volume[:, :, height] / 255 >= 0.5).sum() > 0
    image = read_volume(fetch(MNI152_T1))
    first = source.examples("train")[0]
    assert first.key == "slice-024"
    # From left to right, and from front to back: voxel [2 + column, 212 - row].
    assert first.image[150, 80].tolist() == [image[82, 233 - 1 - (150 + 21), 24]] * 3
    assert [(example.key, example.group) for example in source.examples("train")] == source.groups("train")


def test_smaller_images_are_means_of_the_larger(packaged_images):
    for large, small in zip(BrainTissue().examples("test"), BrainTissue(side=96).examples("test"), strict=True):
        means = large.image[..., 0].reshape(96, 2, 96, 2).mean((1, 3))
        # Pillow rounds after each of two passes.
        assert abs(small.image[..., 0] - means).max() <= 1
        share = large.target.reshape(96, 2, 96, 2).mean((1, 3))
        assert small.target[share == 1].all()
        assert not small.target[share == 0].any()


def test_other_options_are_refused():
    with pytest.raises(ValueError, match="tissue must be one of grey, white, got 'bone'"):
        BrainTissue(tissue="bone")
    for side in (15, 193):
        with pytest.raises(ValueError, match=rf"side must be in \[16, 192\], got {side}"):
            BrainTissue(side=side)


def test_another_volume_is_refused(tmp_path):
    header = bytearray(352)
    struct.pack_into("<4h", header, 40, 3, 4, 5, 6)
    struct.pack_into("<h", header, 70, 16)
    path = tmp_path / "other.nii.gz"
    path.write_bytes(gzip.compress(bytes(header)))
    message = (
        r"other.nii.gz must be a volume of \(197, 233, 189\) unsigned bytes, got \(4, 5, 6\) of NIfTI type 16 in 352 "
        "bytes. Fetch a file of the template"
    )
    with pytest.raises(ValueError, match=message):
        read_volume(path)
