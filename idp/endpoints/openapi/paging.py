"""Long lists, as `idp.endpoints.paging` serves them."""

from idp.endpoints.openapi.builders import Json, array, query, record
from idp.endpoints.paging import DEFAULT, MOST


def page_parameters(cursor: Json) -> list[Json]:
    return [
        query("after", "The `next` of the page before.", cursor, may_be_empty=True),
        query(
            "limit",
            "At most so many.",
            {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT},
        ),
    ]


def page(name: str, item: Json, cursor: Json) -> Json:
    """A page of items under this name."""
    following = {**cursor, "description": "What to pass as `after` for the next page; null on the last one."}
    return record({name: array(item), "next": following})
