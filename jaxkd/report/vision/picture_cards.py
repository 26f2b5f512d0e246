"""Pictures of a study as rows of cards: the truth, and beside it what each model found."""

import dataclasses
import itertools
from collections.abc import Sequence
from fractions import Fraction
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
    bones: str
    """Open lines, which are thinner: those of a skeleton lie close together."""
    dots: str
    """Points, each a line without length, of which round ends make a dot; its size is that of the screen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Label:
    """A few words above a box, as text of HTML: that of SVG would shrink with the picture."""

    text: str
    start: float
    """Distance from the picture's left edge, or from its right one, in percent of its width."""
    above: float
    """Height of the box's top above the picture's bottom, in percent of its height."""
    from_right: bool
    """Whether the text ends at the box's right edge: it would leave the picture otherwise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureCard:
    """One model's results in a picture."""

    model: Model
    description: str
    """Text for screen readers."""
    note: str
    found: Drawing | None
    """None for a model that was not evaluated on this picture."""
    labels: tuple[Label, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureRow:
    """One picture, which the page holds once, with its cards."""

    id: str
    """Unique on the page."""
    picture: Picture
    description: str
    """Text for screen readers, of the truth."""
    truth: Drawing
    labels: tuple[Label, ...]
    cards: tuple[PictureCard, ...]

    @property
    def images(self) -> list[tuple[str, str]]:
        """Id on the page and PNG of the picture and of its layers."""
        pngs = [self.picture.png, *(layer.png for layer in self.picture.layers)]
        return [(f"{self.id}-{number}" if number else self.id, png) for number, png in enumerate(pngs)]

    @property
    def wide(self) -> float:
        """Width of a card, relative to that of a picture alone: words need room, skeletons some, and so do layers."""
        has_words = self.labels or any(card.labels for card in self.cards)
        has_bones = self.truth.bones or any(card.found and card.found.bones for card in self.cards)
        return len(self.images) * (1.5 if has_words else 1.2 if has_bones else 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureGroup:
    """Pictures of one group, the first `ROWS` of them."""

    name: str
    rows: tuple[PictureRow, ...]
    pictures: int
    """Number of pictures of the group, drawn or not."""


_Place: TypeAlias = tuple[str, str, Fraction]
"""Group, key and width over height: pictures in which these agree are one, whatever size each model reads it in."""


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
        overlay: outlines, boxes, points and lines.

    Example:
        >>> from jaxkd.training.results.picture import Overlay
        >>> drawing(Overlay(boxes=((1.0, 2.0, 5.5, 4.0),), points=((3.0, 3.0),)))
        Drawing(lines='M1 2H5.5V4H1Z', bones='', dots='M3 3h0')
    """
    outlines = [f"M{_joined(outline)}Z" for outline in overlay.outlines]
    boxes = [
        f"M{_number(left)} {_number(top)}H{_number(right)}V{_number(bottom)}H{_number(left)}Z"
        for left, top, right, bottom in overlay.boxes
    ]
    bones = [f"M{_joined(line)}" for line in overlay.lines]
    dots = [f"M{_point(point)}h0" for point in overlay.points]
    return Drawing(lines="".join(outlines + boxes), bones="".join(bones), dots="".join(dots))


def labels(overlay: Overlay, *, width: int, height: int) -> tuple[Label, ...]:
    """Return the words at the boxes of an overlay, and where they stand; those of the first box come last, on top.

    Args:
        overlay: boxes with or without labels.
        width: width of the picture, in the pixels of the boxes.
        height: height of the picture.

    Example:
        >>> from jaxkd.training.results.picture import Overlay
        >>> labels(Overlay(boxes=((1.0, 2.0, 5.5, 4.0),), labels=("car .93",)), width=10, height=8)
        (Label(text='car .93', start=10.0, above=75.0, from_right=False),)
    """
    found = []
    # Without labels, `zip` has no pairs.
    for (left, top, right, _), text in zip(overlay.boxes, overlay.labels, strict=False):
        from_right = left + right > width
        start = (width - right if from_right else left) / width
        above = 1 - top / height
        found.append(Label(text=text, start=_percent(start), above=_percent(above), from_right=from_right))
    return tuple(reversed(found))


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 1)


def _row(number: int, picture: Picture, found: Sequence[tuple[Model, Picture | None]]) -> PictureRow:
    name = f"{picture.key}, {picture.group}" if picture.group else picture.key
    return PictureRow(
        id=f"picture-{number}",
        picture=picture,
        description=f"{name}: the truth, {_said(picture.truth)}",
        truth=drawing(picture.truth),
        labels=labels(picture.truth, width=picture.width, height=picture.height),
        cards=tuple(_card(name, model, one, picture.width) for model, one in found),
    )


def _card(name: str, model: Model, picture: Picture | None, width: int) -> PictureCard:
    """Return the card of a model; what it found is drawn over a picture of this width."""
    if picture is None:
        return PictureCard(model=model, description="", note="", found=None)
    note = f"; {picture.note}" if picture.note else ""
    return PictureCard(
        model=model,
        description=f"{name}: {model.label}, {_said(picture.found)}{note}",
        note=picture.note,
        found=drawing(picture.found.scaled(width / picture.width)),
        labels=labels(picture.found, width=picture.width, height=picture.height),
    )


def _place(picture: Picture) -> _Place:
    return picture.group, picture.key, Fraction(picture.width, picture.height)


def _said(overlay: Overlay) -> str:
    """Return the numbers of things in an overlay, in words, and the labels of its boxes."""
    counts = (
        ("outline", overlay.outlines),
        ("box", overlay.boxes),
        ("point", overlay.points),
        ("line", overlay.lines),
    )
    plurals = {"box": "boxes"}
    named = {name: f"{len(of)} {name if len(of) == 1 else plurals.get(name, f'{name}s')}" for name, of in counts if of}
    if overlay.labels:
        named["box"] += f" ({', '.join(overlay.labels)})"
    return ", ".join(named.values()) or "nothing"


def _joined(line: Sequence[Point]) -> str:
    return "L".join(map(_point, line))


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    # 0 is added so that -0.0 is 0.
    return f"{round(value, 1) + 0.0:g}" if abs(value) < 1e5 else f"{value:.0f}"
