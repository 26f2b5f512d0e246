"""Reader of `.pose` files, version 0.2: landmarks of people in the frames of a video."""

import dataclasses
import struct

import numpy as np
from jaxtyping import Float32

_VERSION = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PoseFile:
    """Landmarks of a video, a row for each frame and person."""

    components: dict[str, tuple[str, ...]]
    """Names of the landmarks of each component, such as `RIGHT_HAND_LANDMARKS`, in the order of the arrays."""
    rate: float
    """Frames per second."""
    points: Float32[np.ndarray, "frames people landmarks axes"]
    """Coordinates; for landmarks of MediaPipe, x and y are in pixels and z is not (`depth_factor`)."""
    confidence: Float32[np.ndarray, "frames people landmarks"]
    """Confidence in [0, 1]; 0 for landmarks that were not found."""

    def component(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates and the confidence of the landmarks of one component.

        Raises:
            ValueError: a component that the file does not have.
        """
        if name not in self.components:
            raise ValueError(f"name must be one of {', '.join(self.components)}, got {name!r}.")
        first = 0
        for other, landmarks in self.components.items():
            if other == name:
                break
            first += len(landmarks)
        rows = slice(first, first + len(self.components[name]))
        return self.points[:, :, rows], self.confidence[:, :, rows]


def read_pose_file(content: bytes, name: str) -> PoseFile:
    """Read a `.pose` file.

    Args:
        content: bytes of the file.
        name: name for messages.

    Returns:
        Its landmarks.

    Raises:
        ValueError: another version of the format, or a damaged file.

    Source: sign-language-processing/pose, docs/specs/v0.2.md, for the layout.  Deviation: colours and limbs, which
    serve to draw, are not kept; other versions are not read.
    """
    reader = _Reader(content)
    try:
        (version,) = reader.take("<f")
        if abs(version - _VERSION) > 1e-6:
            raise ValueError(f"{name} must be a .pose file of version {_VERSION}, got version {version:g}.")
        _width, _height, _depth, count = reader.take("<4H")
        components, axes = {}, 0
        for _ in range(count):
            component, letters = reader.text(), reader.text()
            landmarks, limbs, colours = reader.take("<3H")
            components[component] = tuple(reader.text() for _ in range(landmarks))
            reader.skip(4 * limbs + 6 * colours)
            axes = max(axes, len(letters) - 1)  # the last letter is the confidence
        rate, frames, people = reader.take("<fIH")
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{name} must have a whole header, got {len(content)} bytes: {error}. It is damaged."
        ) from error
    shape = (frames, people, sum(map(len, components.values())))
    size = int(np.prod(shape, dtype=object))
    if len(content) - reader.offset != 4 * size * (axes + 1):
        raise ValueError(
            f"{name} must have {4 * size * (axes + 1)} bytes of landmarks for {frames} frames, got "
            f"{len(content) - reader.offset}. The file is damaged."
        )
    values = np.frombuffer(content, "<f4", offset=reader.offset)
    points, confidence = values[: size * axes].reshape(*shape, axes), values[size * axes :].reshape(shape)
    return PoseFile(components=components, rate=rate, points=points, confidence=confidence)


class _Reader:
    """Position in the bytes of a header."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.offset = 0

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from(layout, self.content, self.offset)
        self.offset += struct.calcsize(layout)
        return values

    def text(self) -> str:
        (length,) = self.take("<H")
        (characters,) = self.take(f"<{length}s")
        return characters.decode()

    def skip(self, count: int) -> None:
        self.take(f"<{count}x")
