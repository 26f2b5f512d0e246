from typing import get_args

from jaxkd.data.images.scenes.conditions import SURROUNDINGS, Condition


def test_ranges_are_in_order_and_say_what_the_conditions_are():
    assert tuple(SURROUNDINGS) == get_args(Condition) == ("day", "night", "hot", "weak")
    for surroundings in SURROUNDINGS.values():
        assert all(low <= high for low, high in vars(surroundings).values())
    day, night, hot, weak = SURROUNDINGS.values()
    assert night.light[1] < weak.light[0] < weak.light[1] < min(day.light[0], hot.light[0])
    assert night.ambient[1] < day.ambient[0] < day.ambient[1] < weak.ambient[0] < weak.ambient[1] < hot.ambient[0]
    assert night.lamps[1] > day.lamps[1] == hot.lamps[1] == weak.lamps[1] == 0
