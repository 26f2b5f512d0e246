"""Pictures of a study as rows of cards: the truth, and beside it what each model found."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TypeAlias

from jaxkd.report.stages import Model
from jaxkd.training.results.picture import Overlay, Picture, Point

ROWS = 6
"""Maximum number of pictures of a group that are drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """An overlay as paths of SVG."""

    lines: str
    """Outlines and boxes."""
    dots: str
    """Points, each a line without length, of which round ends make a dot; its size is that of the screen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureCard:
    """One model's results in a picture."""

    model: Model
    description: str
    """Text for screen readers."""
    note: str
    found: Drawing | None
    """None for a model that was not evaluated on this picture."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureRow:
    """One picture, which the page holds once, with its cards."""

    id: str
    """Unique on the page."""
    picture: Picture
    description: str
    """Text for screen readers, of the truth."""
    truth: Drawing
    cards: tuple[PictureCard, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureGroup:
    """Pictures of one group, the first `ROWS` of them."""

    name: str
    rows: tuple[PictureRow, ...]
    pictures: int
    """Number of pictures of the group, drawn or not."""


_Place: TypeAlias = tuple[str, str, int, int]
"""Group, key, width and height: pictures in which these agree are one."""


def groups(models: Sequence[Model]) -> list[PictureGroup]:
    """Arrange the pictures of the models in groups, each in the order of the first model that has them.

    A model's pictures are those of its first seed that has any; the image and the truth are those of the first model.

    Args:
        models: models in the order of the cards.

    Returns:
        Groups with at least one picture.
    """
    found: list[tuple[Model, dict[_Place, Picture]]] = []
    for model in models:
        pictures = next((stage.pictures for stage in model.stages if stage.pictures), ())
        if pictures:
            found.append((model, {_place(picture): picture for picture in pictures}))
    first: dict[_Place, Picture] = {}
    members: dict[str, list[_Place]] = {}
    for _, by_place in found:
        for place, picture in by_place.items():
            if place not in first:
                first[place] = picture
                members.setdefault(picture.group, []).append(place)
    numbers = itertools.count()
    return [
        PictureGroup(
            name=name,
            pictures=len(places),
            rows=tuple(
                _row(next(numbers), first[place], [(model, by_place.get(place)) for model, by_place in found])
                for place in places[:ROWS]
            ),
        )
        for name, places in members.items()
    ]


def drawing(overlay: Overlay) -> Drawing:
    """Return an overlay as paths, in the coordinates of the picture.

    Args:
        overlay: outlines, boxes and points.

    Example:
        >>> from jaxkd.training.results.picture import Overlay
        >>> drawing(Overlay(boxes=((1.0, 2.0, 5.5, 4.0),), points=((3.0, 3.0),)))
        Drawing(lines='M1 2H5.5V4H1Z', dots='M3 3h0')
    """
    outlines = ["M" + "L".join(map(_point, outline)) + "Z" for outline in overlay.outlines]
    boxes = [
        f"M{_number(left)} {_number(top)}H{_number(right)}V{_number(bottom)}H{_number(left)}Z"
        for left, top, right, bottom in overlay.boxes
    ]
    return Drawing(lines="".join(outlines + boxes), dots="".join(f"M{_point(point)}h0" for point in overlay.points))


def _row(number: int, picture: Picture, found: Sequence[tuple[Model, Picture | None]]) -> PictureRow:
    name = f"{picture.key}, {picture.group}" if picture.group else picture.key
    return PictureRow(
        id=f"picture-{number}",
        picture=picture,
        description=f"{name}: the truth, {_said(picture.truth)}",
        truth=drawing(picture.truth),
        cards=tuple(_card(name, model, one) for model, one in found),
    )


def _card(name: str, model: Model, picture: Picture | None) -> PictureCard:
    if picture is None:
        return PictureCard(model=model, description="", note="", found=None)
    note = f"; {picture.note}" if picture.note else ""
    return PictureCard(
        model=model,
        description=f"{name}: {model.label}, {_said(picture.found)}{note}",
        note=picture.note,
        found=drawing(picture.found),
    )


def _place(picture: Picture) -> _Place:
    return picture.group, picture.key, picture.width, picture.height


def _said(overlay: Overlay) -> str:
    """Return the numbers of things in an overlay, in words."""
    counts = (("outline", overlay.outlines), ("box", overlay.boxes), ("point", overlay.points))
    plurals = {"box": "boxes"}
    named = [f"{len(of)} {name if len(of) == 1 else plurals.get(name, f'{name}s')}" for name, of in counts if of]
    return ", ".join(named) or "nothing"


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    # 0 is added so that -0.0 is 0.
    return f"{round(value, 1) + 0.0:g}" if abs(value) < 1e5 else f"{value:.0f}"
