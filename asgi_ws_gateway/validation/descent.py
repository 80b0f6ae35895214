"""How a schema's validator goes down into the data, and by which way it comes where.

Much of a schema can lead to one part of the data by several ways, twice as many at each level of a
recursive one: a message of 60 levels would never be done. So what was found is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, Final, TypeAlias, TypeGuard

from jsonschema.exceptions import ValidationError
from referencing.jsonschema import lookup_recursive_ref

__all__ = [
    "REFERENCES",
    "VERDICTS",
    "Errors",
    "Keyword",
    "Node",
    "inside",
    "is_array",
    "is_object",
    "takes",
]

Errors: TypeAlias = Iterator[ValidationError]
Keyword: TypeAlias = Callable[[Any, Any, Any, Any], Errors]

# Which items and properties other keywords have evaluated. jsonschema keeps that to itself, and
# looks its own answer up in a list, once for each item.
_utils: Any = import_module("jsonschema._utils")
_find_items: Any = getattr(_utils, "find_evaluated_item_indexes_by_schema", None)
_find_names: Any = getattr(_utils, "find_evaluated_property_keys_by_schema", None)


# Lists and dicts for a type checker too, which takes what `isinstance` finds for unknown inside.
def is_array(data: Any) -> TypeGuard[list[Any]]:
    """Whether it is an array."""
    return isinstance(data, list)


def is_object(data: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object."""
    return isinstance(data, dict)


class Node(dict[str, Any]):
    """An object of a schema, with what can be known of it before any data.

    Attributes:
        fixed: Nothing in the schema makes the meaning of this object depend on how it was
            reached (`$id`, `$dynamicRef`), so `checker` serves every visit.
        target: What its `$ref` refers to, when `fixed`.
        checker: jsonschema's validator of this object. Building it is nine tenths of the cost
            of jsonschema's own `descend`, and each value of a message would pay it.
    """

    __slots__ = ("checker", "fixed", "target")

    def __init__(self, items: Iterable[tuple[str, Any]]) -> None:
        super().__init__(items)
        self.fixed = False
        self.target: Any = None
        self.checker: Any = None


def inside(validator: Any, data: Any, schema: Any, *key: str | int) -> Errors:
    """What `schema` says about a part of the data; `key` leads there."""
    if schema is True:
        return
    if schema is False:
        error = ValidationError("")
        error.path.extend(key)
        yield error
        return
    errors: Errors
    if type(schema) is Node and schema.fixed:
        checker = schema.checker
        if checker is None:
            checker = schema.checker = validator.evolve(schema=schema)
        errors = checker.iter_errors(data)
    else:
        errors = validator.descend(data, schema)
    for error in errors:
        error.path.extendleft(key)
        yield error


def takes(validator: Any, data: Any, schema: Any) -> bool:
    """Whether `schema` accepts a part of the data."""
    if type(schema) is not Node or not (is_object(data) or is_array(data)):
        return next(inside(validator, data, schema), None) is None
    key: Any = (id(schema), id(data))
    if not schema.fixed:
        key += _way(validator._resolver)
    taken = VERDICTS.known.get(key)
    if taken is None:
        taken = next(inside(validator, data, schema), None) is None
        VERDICTS.known[key] = taken
    return taken


class _Verdicts(threading.local):
    """What was found in the validation under way in this thread; cleared at its end."""

    def __init__(self) -> None:
        # Objects stay where they are while they are validated, so their ids tell them apart.
        self.known: dict[Any, bool] = {}


VERDICTS: Final = _Verdicts()


def _ref(validator: Any, reference: str, data: Any, schema: Any) -> Errors:
    if type(schema) is Node and schema.fixed:
        target = schema.target
        yield from _once((id(target), id(data)), data, inside(validator, data, target))
    else:
        resolved = validator._resolver.lookup(reference)
        yield from _referred(validator, resolved, data)


def _referred(validator: Any, resolved: Any, data: Any) -> Errors:
    target, resolver = resolved.contents, resolved.resolver
    key = (id(target), id(data), *_way(resolver))
    yield from _once(key, data, validator.descend(data, target, resolver=resolver))


def _way(resolver: Any) -> tuple[Any, ...]:
    """What the meaning of a reference depends on: where it stands, and the resources before."""
    return resolver._base_uri, tuple(dict.fromkeys(uri for uri, _ in resolver.dynamic_scope()))


def _dynamic_ref(validator: Any, reference: str, data: Any, schema: Any) -> Errors:
    yield from _referred(validator, validator._resolver.lookup(reference), data)


def _recursive_ref(validator: Any, reference: str, data: Any, schema: Any) -> Errors:
    yield from _referred(validator, lookup_recursive_ref(validator._resolver), data)


def _once(key: Any, data: Any, errors: Errors) -> Errors:
    """The errors, or none if there were none before."""
    if not (is_object(data) or is_array(data)):
        yield from errors
        return
    if VERDICTS.known.get(key):
        return
    right = True
    for error in errors:
        right = False
        yield error
    if right:
        VERDICTS.known[key] = True


def _unevaluated_items(validator: Any, rest: Any, data: Any, schema: Any) -> Errors:
    if is_array(data):
        evaluated = set(_find_items(validator, data, schema))
        if len(evaluated) < len(data) and any(index not in evaluated for index in range(len(data))):
            yield ValidationError("")


def _unevaluated_properties(validator: Any, rest: Any, data: Any, schema: Any) -> Errors:
    if is_object(data):
        evaluated = set(_find_names(validator, data, schema))
        if any(
            name not in evaluated and not takes(validator, item, rest)
            for name, item in data.items()
        ):
            yield ValidationError("")


REFERENCES: Final[dict[str, Keyword]] = {
    "$ref": _ref,
    "$dynamicRef": _dynamic_ref,
    "$recursiveRef": _recursive_ref,
    **({} if _find_items is None else {"unevaluatedItems": _unevaluated_items}),
    **({} if _find_names is None else {"unevaluatedProperties": _unevaluated_properties}),
}
"""The keywords whose meaning depends on the way that leads to them."""
