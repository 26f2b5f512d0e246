import io
import itertools
import tarfile

import numpy as np
import pytest
from PIL import Image

from jaxkd.data.images.lesions.photographs import photographs, read_photographs

DARK, LIGHT = 80, 180


def patch(brightness, seed):
    values = brightness + np.random.default_rng(seed).integers(-5, 6, size=(32, 32, 3))
    return values.astype(np.uint8)


@pytest.fixture
def archive(tmp_path):
    """Photographs with pairs of their own, with pairs of another photograph, and with lesions that are no darker."""
    own = [patch(DARK if place in (0, 2, 5, 6, 9) else LIGHT, place) for place in range(10)]
    own[3][:, 15:17] = 90  # a hair on the skin
    # Patches 5 to 9 and their partners: 5-1, 6-3, 7-2, 8-0, 9-1; patch 4 has none.
    across = {5: own[1], 6: own[3], 7: own[2], 8: own[0], 9: own[1]}
    foreign = [patch(DARK, 100 + place) for place in range(10)]
    mixed = [patch(120 + 15 * (place % 3), 200 + place) for place in range(10)]
    members = {}
    for number, (patches, partners) in enumerate(
        [
            (own, across),
            (foreign, {place: own[place] for place in range(5, 10)}),
            (mixed, {place: mixed[place - 5] for place in range(5, 10)}),
        ]
    ):
        for place, values in enumerate(patches):
            folder = "Similar" if place < 5 else "nonSimilar"
            members[f"{folder}/patch{10 * number + place}a"] = values
            members[f"{folder}/patch{10 * number + place}b"] = partners.get(place, values)
    path = tmp_path / "patches.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, values in members.items():
            content = io.BytesIO()
            Image.fromarray(values).save(content, "bmp")
            member = tarfile.TarInfo(f"package-1/package/data/patchesDataSet/{name}.bmp")
            member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content)
    return path, own


def test_pairs_across_the_border_tell_skin_from_lesion(archive):
    path, own = archive
    (found,) = read_photographs(path)
    assert found.number == 0
    assert [place for place in range(10) if any(np.array_equal(own[place], each) for each in found.lesion)] == [
        0,
        2,
        5,
        6,
        9,
    ]
    # Patch 3 has a hair, and nothing is known of patch 4.
    assert [place for place in range(10) if any(np.array_equal(own[place], each) for each in found.skin)] == [1, 7, 8]


def test_the_package_has_photographs_for_each_split_and_no_patch_in_two(packaged_images):
    found = photographs()
    assert {split: len(chosen) for split, chosen in found.items()} == {"train": 72, "validation": 12, "test": 35}
    patches = {
        split: {each.tobytes() for one in chosen for each in one.skin + one.lesion} for split, chosen in found.items()
    }
    for left, right in itertools.combinations(patches.values(), 2):
        assert not left & right
    assert sum(len(each) for each in patches.values()) == 697
    for one in (one for chosen in found.values() for one in chosen):
        assert max(each.mean() for each in one.lesion) < min(each.mean() for each in one.skin)
        assert all(min(each.shape[:2]) >= 24 for each in one.skin + one.lesion)
