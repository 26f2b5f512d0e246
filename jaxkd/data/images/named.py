"""Images by the name of packaged data, or by the path of a folder."""

from pathlib import Path

from jaxkd.data.images.brain_tissue import BrainTissue
from jaxkd.data.images.folder import ImageFolder
from jaxkd.data.images.lesions.source import Lesions
from jaxkd.data.images.nuclei import Nuclei
from jaxkd.data.images.source import ImageSource

PACKAGED = ("lesions", "grey-matter", "white-matter", "nuclei")
"""Names of data that packages hold."""

_FOLDER_SIDE = 256


def named_images(
    name: str, *, side: int | None = None, group_pattern: str | None = None, mask_threshold: int | None = None
) -> ImageSource:
    """Return the source that a name of `PACKAGED` or a path stands for.

    Args:
        name: name, or path of a folder.
        side: height and width; None: 256 for a folder, and its own for packaged data.
        group_pattern: as in `ImageFolder`.
        mask_threshold: as in `ImageFolder`.

    Raises:
        ValueError: neither a name nor a folder.
    """
    sized = {} if side is None else {"side": side}
    match name:
        case "lesions":
            return Lesions(**sized)
        case "grey-matter":
            return BrainTissue(tissue="grey", **sized)
        case "white-matter":
            return BrainTissue(tissue="white", **sized)
        case "nuclei":
            return Nuclei(**sized)
    if not Path(name).expanduser().is_dir():
        raise ValueError(f"images must be a folder or one of {', '.join(PACKAGED)}, got {name!r}.")
    side = side or _FOLDER_SIDE
    return ImageFolder(path=name, height=side, width=side, group_pattern=group_pattern, mask_threshold=mask_threshold)
