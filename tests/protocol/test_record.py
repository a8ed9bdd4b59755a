"""Values that are made anew for every request."""

from dataclasses import field

import pytest

from idp.protocol.record import changed, record


@record
class Point:
    x: int
    y: int = 0
    secret: str = field(default="s3cret", repr=False)


def test_it_is_made_compared_and_shown_as_a_dataclass() -> None:
    assert Point(1, y=2) == Point(1, 2) != Point(2, 2)
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert not hasattr(Point(1), "__dict__")


def test_a_changed_one_is_another_one() -> None:
    before = Point(1, 2)
    assert changed(before, y=3) == Point(1, 3)
    assert before == Point(1, 2)
    with pytest.raises(TypeError):
        changed(before, z=4)
