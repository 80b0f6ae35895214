"""jsonschema's errors to `Issue`s: what is wrong in plain English, from the schema alone.

A message is made of a keyword and the schema's value for it. The refused value is never looked at:
it may be a password, and it may be a megabyte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from jsonschema.exceptions import ValidationError

from ..errors import Issue
from .keywords import Composed

__all__ = ["MAX_ISSUES", "list_issues", "pointer"]

MAX_ISSUES: Final = 8
MAX_PATH: Final = 512
_MAX_SHOWN: Final = 200

_Path = tuple[str | int, ...]


def list_issues(errors: Iterable[ValidationError]) -> list[Issue]:
    """The first errors as issues, in the order of their path, then of their rule."""
    leaves = islice(_leaves(errors, ()), MAX_ISSUES)
    found = {(path, _rule(error), _message(error)): None for path, error in leaves}
    # An index and a name never meet at one place of a path; the pairs keep them comparable.
    order = sorted(
        found,
        key=lambda issue: ([(isinstance(key, str), key) for key in issue[0]], *issue[1:]),
    )
    return [Issue(pointer(path), message, rule) for path, rule, message in order]


def pointer(path: Iterable[str | int]) -> str:
    """A JSON Pointer; one that would be too long ends at a parent."""
    result = ""
    for key in path:
        segment = str(key).replace("~", "~0").replace("/", "~1")
        if len(result) + 1 + len(segment) > MAX_PATH:
            break
        result += f"/{segment}"
    return result


def _leaves(
    errors: Iterable[ValidationError], above: _Path
) -> Iterator[tuple[_Path, ValidationError]]:
    for error in errors:
        path = (*above, *error.path)
        if isinstance(error, Composed):
            # Once it has been looked at, the error speaks for all of its branches.
            branches = [list(islice(branch, MAX_ISSUES)) for branch in error.branches]
            best = _best(branches)
            if best is not None:
                yield from _leaves(best, path)
                continue
            error.validator_value = _types(branches)
        yield path, error


def _best(branches: list[list[ValidationError]]) -> list[ValidationError] | None:
    """The branch that was meant, if that can be told: its errors help, those of others do not.

    It is the only one for a value of this type, with this discriminator (a property that is
    `const` or `enum`), or the one with the fewest errors among several of that kind.
    """
    meant = [
        branch
        for branch in branches
        if not any(
            (not error.path and _rule(error) in {"type", "const", "enum", "false"})
            or (len(error.path) == 1 and error.validator in {"const", "enum"})
            for error in branch
        )
    ]
    fewest = min(map(len, meant), default=0)
    shortest = [branch for branch in meant if len(branch) == fewest]
    return shortest[0] if len(shortest) == 1 else None


def _types(branches: list[list[ValidationError]]) -> list[str]:
    """The types to choose from, when that is all that every branch has to say."""
    types: list[str] = []
    for branch in branches:
        if _rule(branch[0]) == "false":
            continue
        wrong = [error for error in branch if not error.path and error.validator == "type"]
        if not wrong:
            return []
        types += _listed(wrong[0].validator_value)
    return list(dict.fromkeys(types))


def _rule(error: ValidationError) -> str:
    # A schema that is `false` as a whole has no keyword; jsonschema leaves a marker object.
    return error.validator if isinstance(error.validator, str) else "false"


def _message(error: ValidationError) -> str:
    describe = _MESSAGES.get(_rule(error))
    return describe(error.validator_value) if describe else "does not match the schema"


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _show(value: Any) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _count(words: str, one: str, many: str = "") -> Callable[[Any], str]:
    return lambda value: f"must have {words} {value} {one if value == 1 else many or one + 's'}"


def _say(words: str) -> Callable[[Any], str]:
    return lambda value: words


def _with(words: str) -> Callable[[Any], str]:
    return lambda value: f"{words} {_show(value)}"


def _any_type(names: Any) -> str:
    said = [_TYPES.get(name, name) for name in _listed(names)]
    return "must be " + (" or ".join([", ".join(said[:-1]), said[-1]] if said[1:] else said))


def _one_of_values(values: list[Any]) -> str:
    said = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return f"must be one of: {_cut(said)}"


def _no_branch(types: Any) -> str:
    return _any_type(types) if types else "must match at least one of the allowed forms"


def _one_branch(types: Any) -> str:
    if types is None:
        return "must match exactly one of the allowed forms, not several"
    return _any_type(types) if types else "must match one of the allowed forms"


def _needs_other(names: Any) -> str:
    # Of old `dependencies`, a schema that is `false` comes without names.
    if not isinstance(names, tuple):
        return "is not allowed"
    name, other = (_cut(str(name)) for name in names)  # pyright: ignore
    return f"'{other}' is required when '{name}' is there"


def _few_items(most: Any) -> str:
    # Of the old `items`, a list of schemas, one that is `false` comes with that list.
    return _at_most_items(most) if type(most) is int else "is not allowed"


_TYPES: Final = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}

_at_most_items = _count("at most", "item")
_not_allowed = _say("is not allowed")  # what a schema that is `false` says, through its keyword

_MESSAGES: Final[dict[str, Callable[[Any], str]]] = {
    "false": _not_allowed,
    "$ref": _not_allowed,
    "$dynamicRef": _not_allowed,
    "$recursiveRef": _not_allowed,
    "type": _any_type,
    "enum": _one_of_values,
    "const": lambda value: f"must be {_cut(json.dumps(value, ensure_ascii=False))}",
    "multipleOf": _with("must be a multiple of"),
    "minimum": _with("must be at least"),
    "maximum": _with("must be at most"),
    "exclusiveMinimum": _with("must be greater than"),
    "exclusiveMaximum": _with("must be less than"),
    "minLength": _count("at least", "character"),
    "maxLength": _count("at most", "character"),
    "pattern": _with("must match the pattern"),
    "format": lambda name: f"must be a valid {_cut(name)}",
    "minItems": _count("at least", "item"),
    "maxItems": _at_most_items,
    "uniqueItems": _say("must not have equal items"),
    "items": _few_items,
    "additionalItems": _at_most_items,
    "prefixItems": _not_allowed,
    "unevaluatedItems": _say("must not have further items"),
    "contains": _say("must have an item of the required form"),
    "minContains": _count("at least", "item of the required form", "items of the required form"),
    "maxContains": _count("at most", "item of the required form", "items of the required form"),
    "minProperties": _count("at least", "property", "properties"),
    "maxProperties": _count("at most", "property", "properties"),
    "required": lambda name: f"'{_cut(name)}' is required",
    "dependentRequired": _needs_other,
    "dependencies": _needs_other,
    "dependentSchemas": _not_allowed,
    "properties": _not_allowed,
    "patternProperties": _not_allowed,
    "additionalProperties": _say("must not have unknown properties"),
    "unevaluatedProperties": _say("must not have unknown properties"),
    "propertyNames": _say("must not have a property of such a name"),
    "allOf": _not_allowed,
    "anyOf": _no_branch,
    "oneOf": _one_branch,
    "not": _say("must not be of the forbidden form"),
    "if": _not_allowed,
}
