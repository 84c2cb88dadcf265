"""SageMaker's own shapes from botocore's model: valid requests and valid answers.

Each operation's shape becomes one compiled check. A wrong type is a SerializationException, as at SageMaker's front
end; violations of bounds, patterns and enums are counted into one ValidationException with SageMaker's wording.
service.py holds the rules across fields.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import botocore.session

if TYPE_CHECKING:
    from botocore.model import Shape

Problems = list[str]
Check = Callable[[Any, str, Problems], None]

_JAVA_CLASSES = {"\\p{Alnum}": "a-zA-Z0-9", "\\p{L}": "\\w", "\\p{Z}": "\\s", "\\p{N}": "\\d"}
_WHOLE = frozenset({"integer", "long"})  # every other number may have a fraction
_LEFT_OUT = frozenset({"ModelArtifacts"})
"""Members required in an answer by the model, and omitted by SageMaker for running jobs."""
_NO_BOUNDS = (float("-inf"), float("inf"))


class WrongTypeError(Exception):
    """The JSON type of a value differs from its shape."""


def _constraint(value: Any, path: str, text: str) -> str:
    return f"Value {'null' if value is None else repr(str(value))} at '{path}' failed to satisfy constraint: {text}"


def _member(name: str) -> str:
    return name[:1].lower() + name[1:]


def _bounds(shape: Shape) -> tuple[float, float]:
    return shape.metadata.get("min", float("-inf")), shape.metadata.get("max", float("inf"))


def _text(value: Any, path: str, problems: Problems) -> None:
    if not isinstance(value, str):
        raise WrongTypeError(path)


def _string(shape: Shape) -> Check:
    low, high = _bounds(shape)
    pattern = shape.metadata.get("pattern")
    enum = frozenset(shape.metadata.get("enum", ()))
    compiled = None
    if pattern and pattern not in {".*", "[\\S\\s]*"}:
        python = pattern
        for java, ours in _JAVA_CLASSES.items():
            python = python.replace(java, ours)
        compiled = re.compile(python)

    def check(value: Any, path: str, problems: Problems) -> None:
        if not isinstance(value, str):
            raise WrongTypeError(path)
        if enum and value not in enum:
            text = f"Member must satisfy enum value set: [{', '.join(sorted(enum))}]"
            problems.append(_constraint(value, path, text))
        if len(value) > high:
            text = f"Member must have length less than or equal to {high}"
            problems.append(_constraint(value, path, text))
        if len(value) < low:
            text = f"Member must have length greater than or equal to {low}"
            problems.append(_constraint(value, path, text))
        if compiled and not compiled.fullmatch(value):
            text = f"Member must satisfy regular expression pattern: ^{pattern}$"
            problems.append(_constraint(value, path, text))

    return check


def _number(shape: Shape, bounds: tuple[float, float]) -> Check:
    low, high = bounds
    whole = shape.type_name in _WHOLE

    def check(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or (whole and isinstance(value, float)):
            raise WrongTypeError(path)
        if value < low:
            text = f"Member must have value greater than or equal to {low}"
            problems.append(_constraint(value, path, text))
        if value > high:
            text = f"Member must have value less than or equal to {high}"
            problems.append(_constraint(value, path, text))

    return check


def _boolean(value: Any, path: str, problems: Problems) -> None:
    if not isinstance(value, bool):
        raise WrongTypeError(path)


def _size(value: Any, path: str, problems: Problems, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if len(value) > high:
        problems.append(_constraint(value, path, f"Member must have length less than or equal to {high}"))
    if len(value) < low:
        problems.append(_constraint(value, path, f"Member must have length greater than or equal to {low}"))


class _Compiler:
    """Builds the checks of requests or answers. Answers keep types and required members only: SageMaker itself answers
    "" where a request may not (S3ModelArtifacts before the end), and tests let it answer unknown statuses.
    """

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self._known: dict[str, Check] = {}

    def check(self, shape: Shape) -> Check:
        known = self._known.get(shape.name)
        if known is None:
            known = self._known[shape.name] = self._build(shape)
        return known

    def _build(self, shape: Shape) -> Check:
        match shape.type_name:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case "string":
                return _text if self._answers else _string(shape)
            case "boolean":
                return _boolean
            case _:
                return _number(shape, self._bounds(shape))

    def _bounds(self, shape: Shape) -> tuple[float, float]:
        return _NO_BOUNDS if self._answers else _bounds(shape)

    def _structure(self, shape: Any) -> Check:
        members = {name: (_member(name), self.check(member)) for name, member in shape.members.items()}
        missing = _LEFT_OUT if self._answers else frozenset()
        required = [(name, _member(name)) for name in shape.required_members if name not in missing]

        def check(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, dict):
                raise WrongTypeError(path)
            prefix = f"{path}." if path else ""
            for name, short in required:
                if value.get(name) is None:
                    problems.append(_constraint(None, prefix + short, "Member must not be null"))
            for name, inner in value.items():
                if name not in members:
                    raise WrongTypeError(prefix + name)
                if inner is not None:
                    short, member = members[name]
                    member(inner, prefix + short, problems)

        return check

    def _list(self, shape: Any) -> Check:
        member, bounds = self.check(shape.member), self._bounds(shape)

        def check(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, list):
                raise WrongTypeError(path)
            _size(value, path, problems, bounds)
            for number, inner in enumerate(value, 1):
                member(inner, f"{path}.{number}.member", problems)

        return check

    def _map(self, shape: Any) -> Check:
        key, member, bounds = self.check(shape.key), self.check(shape.value), self._bounds(shape)

        def check(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, dict):
                raise WrongTypeError(path)
            _size(value, path, problems, bounds)
            for name, inner in value.items():
                key(name, path, problems)
                member(inner, f"{path}.{name}.member", problems)

        return check


class Shapes:
    """Checks for the operations of one botocore service model."""

    def __init__(self, service: str) -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        self._compilers = {"request": _Compiler(answers=False), "answer": _Compiler(answers=True)}

    @functools.lru_cache(maxsize=128)  # noqa: B019 - lives as long as the process, by model_shapes()
    def _check(self, operation: str, side: str) -> Check | None:
        model = self._model.operation_model(operation)
        shape = model.input_shape if side == "request" else model.output_shape
        return self._compilers[side].check(shape) if shape is not None else None

    def request_problems(self, operation: str, request: Any) -> Problems:
        """Violations in SageMaker's wording; raises WrongTypeError."""
        return self._problems(operation, "request", request)

    def answer_problems(self, operation: str, answer: Any) -> Problems:
        """Violations in an answer of the stand-in; any of them is a defect of it."""
        try:
            return self._problems(operation, "answer", answer)
        except WrongTypeError as error:
            return [f"wrong type or unknown member at {error}"]

    def _problems(self, operation: str, side: str, value: Any) -> Problems:
        check, problems = self._check(operation, side), Problems()
        if check is not None:
            check(value, "", problems)
        return problems


@functools.cache
def model_shapes(service: str = "sagemaker") -> Shapes:
    """The shapes of a service, cached because the model loads slowly."""
    return Shapes(service)
