"""Pages: joined they are the whole, whatever their size and however many rows are of one time."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.query import parse
from ingest.reads.paging import Place, cut, from_cursor, link, to_cursor

times = st.sampled_from(["0001-01-01T00:00:00.000000Z", "2026-11-21T19:32:49.000000Z", "9999-12-31T23:59:59.999999Z"])
places = st.builds(Place, times, st.uuids().map(str))


def page(rows: list[Place], after: Place | None, most: int, fetched: int) -> list[dict[str, str]]:
    """What the database finds: rows after a place, newest first, one more than are shown; or fewer, for their size."""
    left = sorted((row for row in rows if after is None or row < after), reverse=True)
    return [{"place_time": row.time, "place_id": row.id} for row in left[: min(most + 1, fetched)]]


@given(st.lists(places, unique=True, max_size=30), st.integers(1, 12), st.integers(1, 20))
def test_pages_joined_are_the_whole_in_order(rows: list[Place], most: int, fetched: int) -> None:
    """Each begins where the one before ended, by its cursor alone, though one may end early for its size."""
    found: list[Place] = []
    after: Place | None = None
    while True:
        got = page(rows, after, most, fetched)
        more = len(got) == fetched
        shown = cut(got, most, more=more)
        assert len(shown.rows) <= most
        found += [Place(row["place_time"], row["place_id"]) for row in shown.rows]
        if shown.last is None:
            break
        after = from_cursor(to_cursor(shown.last))
    assert found == sorted(rows, reverse=True)


@given(places)
def test_a_cursor_says_its_place_and_nothing_else(place: Place) -> None:
    """It is text for a URL, and opaque: one bit of it changed is another place or none."""
    cursor = to_cursor(place)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", cursor)
    assert from_cursor(cursor) == place


@pytest.mark.parametrize(
    "cursor", ["", "AAAA", "é", "%", to_cursor(Place("2026-11-21", "x")), to_cursor(Place("now", str(UUID(int=0))))]
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """Nothing that anybody writes goes into a statement as a place."""
    with pytest.raises(ValueError, match="no cursor of ours"):
        from_cursor(cursor)


@given(places, st.dictionaries(st.text(min_size=1), st.text()))
def test_the_next_page_asks_the_same_but_for_where_it_begins(place: Place, query: dict[str, str]) -> None:
    """Whatever the query holds, it comes back; an offset does not, for the cursor is instead of it."""
    [(name, value)] = link("/organizations/a%2Fb/actions", query | {"page": "3", "start": "9"}, place)
    found = re.fullmatch(r'<([^<>"]+)>; rel="next"', value.decode())
    assert name == b"link"
    assert found is not None
    target = urlsplit(found[1])
    asked = {name: values[0] for name, values in parse_qs(target.query, keep_blank_values=True).items()}
    kept = {name: value for name, value in query.items() if name not in ("page", "start", "cursor")}
    assert (target.path, asked) == ("/organizations/a%2Fb/actions", kept | {"cursor": to_cursor(place)})
    assert link("/x", query, None) == ()


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b"a=1&a=2", "comes twice"), (b"a=%FF", "UTF-8"), (b"\xff", "UTF-8"), (b"a=%00", "zero byte"), (b"a&" * 60, "50")],
)
def test_a_query_that_can_not_be_told_apart_is_refused(raw: bytes, said: str) -> None:
    """One name, one value, and text."""
    with pytest.raises(ValueError, match=said):
        parse(raw)


def test_a_query_is_read_as_it_is_written() -> None:
    """A name without a value has an empty one."""
    assert parse(b"a=b+c%2F&d&e=") == {"a": "b c/", "d": "", "e": ""}
