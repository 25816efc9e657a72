"""Topic filters: matching, covering, and the tree that finds subscribers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.broker.topics import FilterTree, covers, is_filter, is_topic, matches

levels = st.sampled_from(["a", "b", "lab", "", "$SYS"])
topic_names = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(is_topic)


@st.composite
def filters(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.one_of(levels, st.just("+")), min_size=1, max_size=4))
    if draw(st.booleans()):
        parts.append("#")
    return "/".join(parts)


filter_names = filters().filter(is_filter)


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("lab/+", "lab/a", True),
        ("lab/+", "lab/a/b", False),
        ("lab/+", "lab", False),
        ("lab/+", "lab/", True),
        ("lab/#", "lab", True),
        ("lab/#", "lab/a/b", True),
        ("#", "a", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("a/+/c", "a//c", True),
    ],
)
def test_matches(pattern: str, topic: str, fits: bool) -> None:
    assert matches(pattern, topic) is fits


@pytest.mark.parametrize(
    ("allowed", "wanted", "fits"),
    [
        ("lab/+", "lab/#", False),
        ("lab/+", "lab/+", True),
        ("lab/+", "lab/a", True),
        ("lab/+", "lab/+/+", False),
        ("lab/#", "lab/+/x/#", True),
        ("lab/#", "lab", True),
        ("lab/#", "#", False),
        ("lab/a", "lab/+", False),
        ("#", "+/x", True),
        ("#", "$CONTROL/#", False),
        ("+/x", "#", False),
    ],
)
def test_covers(allowed: str, wanted: str, fits: bool) -> None:
    assert covers(allowed, wanted) is fits


@given(filter_names, filter_names, topic_names)
def test_what_a_covered_filter_matches_the_covering_one_matches_too(allowed: str, wanted: str, topic: str) -> None:
    if covers(allowed, wanted) and matches(wanted, topic):
        assert matches(allowed, topic)


@given(st.lists(st.tuples(filter_names, st.integers(0, 9), st.integers(0, 1)), max_size=20), topic_names)
def test_the_tree_finds_what_matching_one_by_one_finds(subscriptions: list[tuple[str, int, int]], topic: str) -> None:
    tree: FilterTree[int] = FilterTree()
    known: dict[tuple[str, int], int] = {}
    for pattern, holder, qos in subscriptions:
        tree.add(pattern, holder, qos)
        known[pattern, holder] = qos
    expected: dict[int, int] = {}
    for (pattern, holder), qos in known.items():
        if matches(pattern, topic):
            expected[holder] = max(qos, expected.get(holder, 0))
    assert tree.match(topic) == expected
    for pattern, holder in known:
        tree.remove(pattern, holder)
    assert tree.is_empty()


@pytest.mark.parametrize("name", ["", "a/+", "#", "a\0b", "x" * 1025, "/".join("a" * 40)])
def test_not_a_topic(name: str) -> None:
    assert not is_topic(name)


@pytest.mark.parametrize("name", ["", "a/#/b", "a#", "a+/b", "#/a"])
def test_not_a_filter(name: str) -> None:
    assert not is_filter(name)
