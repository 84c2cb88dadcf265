"""Argo CD's Lua: its state for health checks and actions of argocd-cm, and its conversion of their results.

Lua 5.1 with the basic functions, `table`, and a `require` that has `os.time` and `os.date`; no `string` or global `os`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lupa import lua51

REPOSITORY = Path(__file__).parents[2]
SETTINGS = REPOSITORY / "deploy/argocd/argocd-cm.yaml"
BUILT_IN = REPOSITORY / "tests/data/argocd/ack-health.lua"
"""The rules of Argo CD's built-in check of all ACK kinds (from 3.6), rewritten."""
KIND = "sagemaker.services.k8s.aws_TrainingJob"

BASIC = (
    "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawset",
    "require", "select", "setmetatable", "table", "tonumber", "tostring", "type", "unpack", "xpcall",
)  # fmt: skip
SANDBOX = """
local kept, os = ..., {date = os.date, time = os.time}
getmetatable("").__index = nil
for name in pairs(_G) do
  if not kept[name] then _G[name] = nil end
end
function require(name)
  if name ~= "os" then error("module '" .. name .. "' not found") end
  return os
end
"""


def run(script: str, obj: dict[str, Any]) -> Any:
    """Return the result of the script for an object as Argo CD reads it from JSON: an empty table is a list."""
    state = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    state.eval(f"function(...) {SANDBOX} end")(state.table_from(dict.fromkeys((*BASIC, "_G"), True)))
    state.globals().obj = _to_lua(state, obj)
    return _from_lua(state.execute(script))


def _to_lua(state: lua51.LuaRuntime, value: Any) -> Any:
    if isinstance(value, dict):
        return state.table_from({key: _to_lua(state, item) for key, item in value.items() if item is not None})
    if isinstance(value, list):
        return state.table_from([_to_lua(state, item) for item in value])
    return value


def _from_lua(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    items = dict(value)
    if all(isinstance(key, int) for key in items):
        assert sorted(items) == list(range(1, len(items) + 1)), "Argo CD cannot encode a sparse list"
        return [_from_lua(items[key]) for key in sorted(items)]
    assert all(isinstance(key, str) for key in items), "Argo CD cannot encode a table with keys of two types"
    return {key: _from_lua(item) for key, item in items.items()}


@dataclass(frozen=True)
class Customization:
    """The scripts of argocd-cm for TrainingJobs."""

    health: str
    discovery: str
    actions: dict[str, str]
    links: list[dict[str, str]]


def read_customization() -> Customization:
    data = yaml.safe_load(SETTINGS.read_text())["data"]
    actions = yaml.safe_load(data[f"resource.customizations.actions.{KIND}"])
    return Customization(
        health=data[f"resource.customizations.health.{KIND}"],
        discovery=actions["discovery.lua"],
        actions={each["name"]: each["action.lua"] for each in actions["definitions"]},
        links=yaml.safe_load(data["resource.links"]),
    )
