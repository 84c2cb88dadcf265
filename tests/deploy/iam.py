"""IAM policies in deploy/, and their evaluation for a request, as far as they use IAM's features."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEPLOY = Path(__file__).parents[2] / "deploy"
POLICIES = ("iam-policy", "iam-policy-own-jobs")
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
"""The cluster ID in iam-policy-own-jobs.json."""

Statement = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One call in IAM's terms; `context` has condition keys."""

    action: str
    resource: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


def read_statements(name: str, **replaced: str) -> list[Statement]:
    """Statements of a policy. `replaced` sets the Resource of statements by Sid, as in an installation."""
    policy = json.loads((DEPLOY / f"{name}.json").read_text())
    assert policy["Version"] == "2012-10-17"
    return [
        {**statement, "Resource": replaced.get(statement["Sid"], statement["Resource"])}
        for statement in policy["Statement"]
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(statements: Iterable[Statement]) -> set[str]:
    return {action for statement in statements for action in listed(statement["Action"])}


def allows(statements: Iterable[Statement], request: Request) -> bool:
    """True if a statement allows the request. All statements have the effect Allow."""
    return any(_applies(statement, request) for statement in statements)


def _applies(statement: Statement, request: Request) -> bool:
    assert statement["Effect"] == "Allow"
    return (
        request.action in listed(statement["Action"])
        and _matches(request.resource, statement["Resource"])
        and all(
            _holds(operator, request.context.get(key), patterns)
            for operator, condition in statement.get("Condition", {}).items()
            for key, patterns in condition.items()
        )
    )


def _matches(value: str, patterns: str | list[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in listed(patterns))


def _holds(operator: str, given: str | list[str] | None, patterns: str | list[str]) -> bool:
    match operator:
        case "StringEquals":
            return given in listed(patterns)
        case "StringLike":
            return isinstance(given, str) and _matches(given, patterns)
        case "ForAllValues:StringNotLike":  # true without the key
            return not any(_matches(value, patterns) for value in given or ())
    raise NotImplementedError(operator)
