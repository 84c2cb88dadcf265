"""Invalid answers of a service or proxy: values of any type, and answers with single invalid members."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from trainingjob_operator.logic.objects.field_table import STATUS, Members, Shape

_zones = st.sampled_from([UTC, timezone(timedelta(hours=13)), timezone(timedelta(hours=-11))])
_words = st.sampled_from(
    ["InProgress", "Completed", "Failed", "Stopped", "Stopping", "Deleting", "Training", "MaxRuntimeExceeded", "Novel"]
)
_texts = _words | st.text(st.characters(), max_size=20)
_times = st.datetimes(timezones=_zones) | st.datetimes()
_numbers = st.integers() | st.integers(0, 100_000) | st.floats()

scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | _numbers | _texts | _times | st.binary(max_size=3)
nonsense: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*STATUS, "x"]) | _texts, inner),
    max_leaves=8,
)
"""Any value of a JSON or XML parser, and more."""

_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(),
    "string": _texts,
    "timestamp": st.datetimes(timezones=_zones),
}


def answers() -> st.SearchStrategy[dict[str, Any]]:
    """Answers of DescribeTrainingJob in the API's shapes, with a few invalid members."""
    members = {
        "EnableManagedSpotTraining": st.booleans(),
        "TrainingJobName": _texts,
        **_members(STATUS),
    }
    return st.fixed_dictionaries({}, optional=members)


def _members(members: Members) -> dict[str, st.SearchStrategy[Any]]:
    return {member: _values(shape) for member, shape in members.values()}


def _values(shape: Shape) -> st.SearchStrategy[Any]:
    if isinstance(shape, dict):
        right: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=_members(shape))
    elif isinstance(shape, list):
        right = st.lists(_values(shape[0]), max_size=3)
    else:
        right = _SCALARS[shape]
    return st.integers(0, 19).flatmap(lambda luck: scalars if luck == 0 else right)
