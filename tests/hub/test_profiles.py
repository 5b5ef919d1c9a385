"""Profiles: who may take which, and what a file of them may say."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, BadParameter, UnknownName
from quantdesk.hub.kubernetes import override
from quantdesk.hub.profiles import PROFILES, Profile, of, parse

SMALL = {"name": "small", "cpu": 2, "memory_gib": 4}


def one(**changed: Any) -> dict[str, Any]:
    return {"profiles": [SMALL | changed]}


def test_a_file_says_all_that_a_profile_knows() -> None:
    told = {
        "name": "gpu", "title": "GPU", "description": "Large.", "cpu": 8, "cpu_sure": 2.5, "memory_gib": 32,
        "memory_sure_gib": 16, "storage_gib": 50, "scratch_gib": 20, "idle_minutes": 30, "gpus": 1, "groups": ["ml"],
        "collaboration": True, "image": "registry.example/user:1", "node_selector": {"kind": "l4"}, "is_default": False,
    }  # fmt: skip
    assert set(told) == {field.name for field in dataclasses.fields(Profile)}
    (_, found) = parse({"profiles": [SMALL, told]})
    assert found.groups == ("ml",)
    assert found.node_selector == (("kind", "l4"),)
    assert found.sure == (2.5, 16)
    kept = {**dataclasses.asdict(found), "groups": ["ml"], "node_selector": {"kind": "l4"}}
    assert kept == told


def test_what_is_left_out_has_a_default() -> None:
    (found,) = parse(one())
    assert found == Profile("small", "Small", cpu=2, memory_gib=4)
    assert found.sure == (0.25, 1)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "Small"}, "Profile 1 has the name 'Small'"),
        ({"name": "../etc"}, "'../etc'"),
        ({"name": "s"}, "2 to 31"),
        ({"name": 3}, "name 3"),
        ({"cpu": 0}, "above 0, up to 1024"),
        ({"cpu": -1}, "cpu = -1"),
        ({"cpu": "2"}, "cpu = '2'. Give a number"),
        ({"cpu": True}, "Give a number"),
        ({"cpu": math.nan}, "Give a number"),
        ({"memory_gib": math.inf}, "Give a number"),
        ({"memory_gib": 1e9}, "up to 24576"),
        ({"storage_gib": 0}, "above 0"),
        ({"gpus": 0.5}, "whole number"),
        ({"idle_minutes": 1e6}, "up to 43200"),
        ({"cpu_sure": 4}, "sure of more than it may use"),
        ({"memory_sure_gib": 8}, "sure of more than it may use"),
        ({"groups": "ml"}, "list of names"),
        ({"groups": ["a\nb"]}, "list of names"),
        ({"collaboration": "yes"}, "true or false"),
        ({"image": "https://evil.example/x y"}, "as a registry calls it"),
        ({"node_selector": {"a": 1}}, "both text"),
        ({"title": "a\0b"}, "at most 300"),
        ({"description": "x" * 301}, "at most 300"),
    ],
)
def test_a_value_that_is_none_is_named(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(BadParameter) as caught:
        parse(one(**changed))
    assert says in str(caught.value)


def test_a_misspelled_key_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"'memory'.*Did you mean memory_gib"):
        parse(one(memory=4))


@pytest.mark.parametrize(
    ("profiles", "says"),
    [
        (None, "profiles is None"),
        ([], r"profiles is \[\]"),
        ({"small": {}}, "Give a list"),
        ([3], "Profile 1 is 3"),
        ([SMALL, SMALL], "2 profiles 'small'"),
        ([SMALL | {"is_default": True}, SMALL | {"name": "two", "is_default": True}], "More than one"),
        ([SMALL | {"groups": ["ml"]}], "Every profile is for certain groups"),
    ],
)
def test_a_list_that_is_none_is_refused(profiles: Any, says: str) -> None:
    with pytest.raises(BadParameter, match=says):
        parse({"profiles": profiles})


def test_who_may_take_which_and_the_default_comes_first() -> None:
    assert [found.name for found in of(PROFILES, [])] == ["small", "medium"]
    assert [found.name for found in of(PROFILES, ["quantdesk-large", "football"])] == ["small", "medium", "large"]
    assert [found.name for found in of(PROFILES, [], is_admin=True)] == ["small", "medium", "large", "gpu"]
    last = (Profile("one", "One"), Profile("two", "Two", is_default=True))
    assert [found.name for found in of(last, [])] == ["two", "one"]


@given(st.sets(st.sampled_from(["quantdesk-large", "quantdesk-gpu", "quantdesk", "", "quantdesk-gpu "])))
def test_more_groups_never_take_a_profile_away_and_only_its_own_give_one(groups: set[str]) -> None:
    names = {found.name for found in of(PROFILES, groups)}
    assert {"small", "medium"} <= names
    assert ("gpu" in names) is ("quantdesk-gpu" in groups)
    assert ("large" in names) is ("quantdesk-large" in groups)


NUMBERS = st.floats(0.01, 64, allow_nan=False)


@given(cpu=NUMBERS, memory=NUMBERS, scratch=NUMBERS)
def test_a_pod_is_sure_of_no_more_than_it_may_use(cpu: float, memory: float, scratch: float) -> None:
    (found,) = parse(one(cpu=cpu, memory_gib=memory, scratch_gib=scratch))
    traits = override(found)
    assert 0 < traits["cpu_guarantee"] <= traits["cpu_limit"] == cpu
    assert 0 < traits["mem_guarantee"] <= traits["mem_limit"]
    limit, sure = traits["extra_resource_limits"], traits["extra_resource_guarantees"]
    assert 0 < int(sure["ephemeral-storage"]) <= int(limit["ephemeral-storage"])


@given(st.dictionaries(st.text(max_size=20), st.none() | st.text() | st.floats() | st.lists(st.integers())))
def test_whatever_stands_in_a_file_is_a_profile_or_one_clear_error(given: dict[str, Any]) -> None:
    found: Any
    try:
        (found,) = parse({"profiles": [{"name": "small", **given}]})
    except BadInput as error:
        found = error
    assert isinstance(found, Profile) or found.remedy
