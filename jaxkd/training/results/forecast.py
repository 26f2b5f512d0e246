"""A record of a system over time, and a model's forecast of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """One record, and a model's forecast from its first state.

    Raises:
        ValueError: rows that do not match the times or the states, or states that are not a whole number for each
            place.
    """

    key: str
    """Key of the record."""
    names: tuple[str, ...]
    """Names of the states."""
    times: tuple[float, ...]
    measured: tuple[tuple[float, ...], ...]
    """Measured states: a row per time, a value per state."""
    forecast: tuple[tuple[float, ...], ...]
    """Forecast states, in the same layout; cut short if the simulation diverged."""
    places: tuple[float, ...] = ()
    """Places, if the states are quantities at places: each quantity has one state per place, in this order."""

    def __post_init__(self) -> None:
        if not self.names or not self.times:
            raise ValueError(
                f"names and times must hold at least one state and one sample, got {len(self.names)} and "
                f"{len(self.times)} in {self.key!r}. Leave the record out."
            )
        if len(self.measured) != len(self.times) or len(self.forecast) > len(self.times):
            raise ValueError(
                f"measured must have one row for each of times, and forecast no more, got {len(self.measured)} and "
                f"{len(self.forecast)} rows for {len(self.times)} times in {self.key!r}."
            )
        for row in (*self.measured, *self.forecast):
            if len(row) != len(self.names):
                raise ValueError(
                    f"measured and forecast must have one value for each of names in a row, got {len(row)} values for "
                    f"{', '.join(self.names)} in {self.key!r}."
                )
        if self.places and len(self.names) % len(self.places):
            raise ValueError(
                f"names must be one a place for each quantity, got {len(self.names)} for {len(self.places)} places in "
                f"{self.key!r}."
            )

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the forecast whose fields a JSON file holds.

        Raises:
            KeyError, TypeError, ValueError: fields of something else.
        """
        return cls(
            key=fields["key"],
            names=tuple(fields["names"]),
            times=tuple(fields["times"]),
            measured=tuple(tuple(map(float, row)) for row in fields["measured"]),
            forecast=tuple(tuple(map(float, row)) for row in fields["forecast"]),
            # Older files have no places.
            places=tuple(fields.get("places", ())),
        )
