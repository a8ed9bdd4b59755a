"""Where a login comes from, as far as tries are counted."""

import pytest

from idp.directory.login import place_of


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::2", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("local", "local"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_p5_place(source: str, place: str) -> None:
    assert place_of(source) == place
