"""`.pose` files of a few frames, and a wheel with them."""

import struct
import zipfile

import numpy as np

HANDS = {"FACE_LANDMARKS": 2, "LEFT_HAND_LANDMARKS": 21, "RIGHT_HAND_LANDMARKS": 21}


def pose_file(points, confidence, *, components=HANDS, version=0.2, rate=25.0):
    """Bytes of a file: [frames people landmarks 3] and [frames people landmarks]."""

    def text(value):
        return struct.pack("<H", len(value)) + value.encode()

    header = struct.pack("<f4H", version, 500, 500, 0, len(components))
    for name, count in components.items():
        header += text(name) + text("XYZC") + struct.pack("<3H", count, 1, 2)
        header += b"".join(text(f"POINT_{number}") for number in range(count))
        header += struct.pack("<2H", 0, 1) + struct.pack("<6H", 255, 0, 0, 0, 255, 0)
    header += struct.pack("<fIH", rate, *points.shape[:2])
    return header + points.astype("<f4").tobytes() + confidence.astype("<f4").tobytes()


def frames(rng, count, *, left=(), right=()):
    """Points and confidences of frames, with a left and a right hand in some of them."""
    points = rng.normal(250, 20, size=(count, 1, sum(HANDS.values()), 3))
    confidence = np.ones(points.shape[:3])
    for first, present in ((2, left), (23, right)):
        absent = [frame for frame in range(count) if frame not in present]
        confidence[absent, :, first : first + 21] = 0
    return points, confidence


def wheel(path, **contents):
    """Write a wheel of recordings: `ase_a` is the file `a` of the language `ase`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spoken_to_signed/assets/fingerspelling_lexicon/index.csv", "path\n")
        for name, content in contents.items():
            folder, file = name.split("_")
            archive.writestr(f"spoken_to_signed/assets/fingerspelling_lexicon/{folder}/{file}.pose", content)
    return path
