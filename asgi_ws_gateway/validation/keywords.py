"""The keywords of JSON Schema for jsonschema's validators, made safe for what clients send.

jsonschema's own write the refused value into each error's text: a secret, and a megabyte where
the value is one. Some also take quadratic time, list all errors where one is enough, or give them
in the order of a set. These say the same in less: an error here is its keyword, the schema's value
and a path. What is not here is jsonschema's own. It knows nothing of `Issue`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from math import isfinite
from typing import Any, Final, TypeGuard

from jsonschema.exceptions import ValidationError

from .patterns import compile_pattern

__all__ = [
    "MAX_FORMAT_LENGTH",
    "SLOW_FORMATS",
    "VERDICTS",
    "Composed",
    "Node",
    "equality_key",
    "keywords",
]

Errors = Iterator[ValidationError]
_Keyword = Callable[[Any, Any, Any, Any], Errors]

MAX_FORMAT_LENGTH: Final = 2048
"""Of a text with a `format`: some checkers take more than linear time."""

SLOW_FORMATS: Final = frozenset({"iri", "iri-reference"})
"""Left unchecked: rfc3987-syntax 1.1 takes a millisecond a character."""


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


class Composed(ValidationError):
    """No branch of an `anyOf` or `oneOf` took the value; what each says is found when asked."""

    branches: list[Errors]


def keywords(draft: str, bounded: bool) -> dict[str, _Keyword]:
    """Those of one draft, such as `"2020-12"`, to extend jsonschema's validator with."""
    found = {**_KEYWORDS, **_with_patterns(bounded)}
    if draft == "2020-12":
        return found
    found |= {"items": _items_of_either_kind, "additionalItems": _additional_items}
    if draft != "2019-09":
        found |= {"contains": _contains_one, "dependencies": _dependencies}
    return found


def _within(validator: Any, data: Any, schema: Any, *key: str | int) -> Errors:
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


def _takes(validator: Any, data: Any, schema: Any) -> bool:
    if type(schema) is not Node or not schema.fixed or not (_is_object(data) or _is_array(data)):
        return next(_within(validator, data, schema), None) is None
    key = (id(schema), id(data))
    taken = VERDICTS.known.get(key)
    if taken is None:
        taken = next(_within(validator, data, schema), None) is None
        VERDICTS.known[key] = taken
    return taken


class _Verdicts(threading.local):
    """What was found in the validation under way in this thread; cleared at its end.

    Where both branches of a union go on to the same part of the data, as those of an expression
    tree do, each level would double the work: a message of 60 levels would never be done.
    """

    def __init__(self) -> None:
        # Objects stay where they are while they are validated, so their ids tell them apart.
        self.known: dict[tuple[int, int], bool] = {}


VERDICTS: Final = _Verdicts()


def _assertion(refuses: Callable[[Any, Any], bool]) -> _Keyword:
    def keyword(validator: Any, value: Any, data: Any, schema: Any) -> Errors:
        if refuses(value, data):
            yield ValidationError("")

    return keyword


def _is_number(data: Any) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool)


# Lists and dicts for a type checker too, which takes what `isinstance` finds for unknown inside.
def _is_array(data: Any) -> TypeGuard[list[Any]]:
    return isinstance(data, list)


def _is_object(data: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(data, dict)


def equality_key(value: Any) -> Any:
    """Something hashable that is equal for two values when JSON Schema calls them equal.

    `1` and `1.0` are equal, `1` and `True` are not. Numbers become bytes because the hash of
    bytes is random: integers that all hash alike are easily chosen, and then a set is quadratic.
    """
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int):
        return b"%x" % value
    if isinstance(value, float):
        return b"%x" % int(value) if value.is_integer() else value.hex().encode()
    if _is_object(value):
        return frozenset((key, equality_key(item)) for key, item in value.items())
    if _is_array(value):
        return tuple(map(equality_key, value))
    return value


_TRUE, _FALSE = object(), object()


def _has_duplicates(wanted: bool, data: Any) -> bool:
    if not wanted or not _is_array(data):
        return False
    seen: set[Any] = set()
    for item in data:
        key = equality_key(item)
        if key in seen:
            return True
        seen.add(key)
    return False


def _is_not_one_of(values: list[Any], data: Any) -> bool:
    if isinstance(data, str):
        return data not in values
    key = equality_key(data)
    return all(equality_key(value) != key for value in values)


def _exactly(number: float) -> Fraction:
    return Fraction(number if isinstance(number, int) else repr(number))


_divisor = cache(_exactly)  # schemas are few


def _is_no_multiple(divisor: float, data: Any) -> bool:
    """19.99 is a multiple of 0.01: decimals are meant as they are written.

    jsonschema divides binary fractions and refuses prices, and fails on what is not finite.
    """
    if not _is_number(data):
        return False
    if isinstance(data, int) and isinstance(divisor, int):
        return data % divisor != 0
    if isinstance(data, float) and not isfinite(data):
        return True
    return (_exactly(data) / _divisor(divisor)).denominator != 1


def _type(validator: Any, names: Any, data: Any, schema: Any) -> Errors:
    if isinstance(names, str):
        if not validator.is_type(data, names):
            yield ValidationError("")
    elif not any(validator.is_type(data, name) for name in names):
        yield ValidationError("")


def _format(validator: Any, name: str, data: Any, schema: Any) -> Errors:
    found = validator.format_checker.checkers.get(name)
    if found is None or name in SLOW_FORMATS or not isinstance(data, str):
        return
    try:
        conforms = len(data) <= MAX_FORMAT_LENGTH and found[0](data)
    except Exception:  # checkers are foreign code and raise more than they declare
        conforms = False
    if not conforms:
        yield ValidationError("")


def _ref(validator: Any, reference: str, data: Any, schema: Any) -> Errors:
    if type(schema) is Node and schema.fixed:
        yield from _within(validator, data, schema.target)
    else:
        yield from validator._validate_reference(ref=reference, instance=data)


def _required(validator: Any, names: list[str], data: Any, schema: Any) -> Errors:
    if _is_object(data):
        for name in names:
            if name not in data:
                yield ValidationError("", validator="required", validator_value=name)


def _dependent_required(validator: Any, dependents: Any, data: Any, schema: Any) -> Errors:
    if _is_object(data):
        for name, needed in dependents.items():
            if name in data:
                for other in needed:
                    if other not in data:
                        yield ValidationError("", validator_value=(name, other))


def _dependencies(validator: Any, dependencies: Any, data: Any, schema: Any) -> Errors:
    for name, needed in dependencies.items():
        if _is_array(needed):
            yield from _dependent_required(validator, {name: needed}, data, schema)
        elif _is_object(data) and name in data:
            yield from _within(validator, data, needed)


def _dependent_schemas(validator: Any, dependents: Any, data: Any, schema: Any) -> Errors:
    if _is_object(data):
        for name, needed in dependents.items():
            if name in data:
                yield from _within(validator, data, needed)


def _properties(validator: Any, properties: Any, data: Any, schema: Any) -> Errors:
    if _is_object(data):
        for name, within in properties.items():
            if name in data:
                yield from _within(validator, data[name], within, name)


def _property_names(validator: Any, names: Any, data: Any, schema: Any) -> Errors:
    if _is_object(data) and not all(_takes(validator, name, names) for name in data):
        yield ValidationError("")


def _with_patterns(bounded: bool) -> dict[str, _Keyword]:
    def pattern(validator: Any, value: str, data: Any, schema: Any) -> Errors:
        if isinstance(data, str) and not compile_pattern(value, bounded)(data):
            yield ValidationError("")

    def pattern_properties(validator: Any, patterns: Any, data: Any, schema: Any) -> Errors:
        if _is_object(data):
            for value, within in patterns.items():
                matches = compile_pattern(value, bounded)
                for name, item in data.items():
                    if matches(name):
                        yield from _within(validator, item, within, name)

    def additional_properties(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
        if within is True or not _is_object(data):
            return
        known = schema.get("properties", ())
        patterns = [compile_pattern(each, bounded) for each in schema.get("patternProperties", ())]
        for name, item in data.items():
            if name not in known and not any(matches(name) for matches in patterns):
                if within is False:
                    # At the object itself: which names it has is for the client to see.
                    yield ValidationError("")
                    return
                yield from _within(validator, item, within, name)

    return {
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
    }


def _items(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if _is_array(data):
        yield from _items_from(len(schema.get("prefixItems", ())), validator, within, data)


def _items_from(start: int, validator: Any, within: Any, data: list[Any]) -> Errors:
    if within is False:
        if len(data) > start:
            yield ValidationError("", validator_value=start)
    elif within is not True:
        for index in range(start, len(data)):
            yield from _within(validator, data[index], within, index)


def _prefix_items(validator: Any, prefix: Any, data: Any, schema: Any) -> Errors:
    if _is_array(data):
        for index, (item, within) in enumerate(zip(data, prefix, strict=False)):
            yield from _within(validator, item, within, index)


def _items_of_either_kind(validator: Any, items: Any, data: Any, schema: Any) -> Errors:
    if _is_array(items):
        yield from _prefix_items(validator, items, data, schema)
    elif _is_array(data):
        yield from _items_from(0, validator, items, data)


def _additional_items(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    items = schema.get("items")
    if _is_array(data) and _is_array(items):
        yield from _items_from(len(items), validator, within, data)


def _contains(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if not _is_array(data):
        return
    least, most = schema.get("minContains", 1), schema.get("maxContains")
    count = 0
    for item in data:
        if _takes(validator, item, within):
            count += 1
            if most is not None and count > most:
                yield ValidationError("", validator="maxContains", validator_value=most)
                return
            if most is None and count >= least:
                return
    if count < least:
        rule = "minContains" if least > 1 else "contains"
        yield ValidationError("", validator=rule, validator_value=least)


def _contains_one(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if _is_array(data) and not any(_takes(validator, item, within) for item in data):
        yield ValidationError("", validator_value=1)


def _all_of(validator: Any, branches: Any, data: Any, schema: Any) -> Errors:
    for within in branches:
        yield from _within(validator, data, within)


def _any_of(validator: Any, branches: Any, data: Any, schema: Any) -> Errors:
    # Stops at a branch's first error; jsonschema's own lists all errors of all branches.
    if not any(_takes(validator, data, within) for within in branches):
        yield _composed(validator, branches, data)


def _one_of(validator: Any, branches: Any, data: Any, schema: Any) -> Errors:
    count = 0
    for within in branches:
        count += _takes(validator, data, within)
        if count > 1:
            yield ValidationError("", validator_value=None)
            return
    if not count:
        yield _composed(validator, branches, data)


def _composed(validator: Any, branches: Any, data: Any) -> Composed:
    error = Composed("")
    error.branches = [_within(validator, data, within) for within in branches]
    return error


def _not(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if _takes(validator, data, within):
        yield ValidationError("")


def _if(validator: Any, condition: Any, data: Any, schema: Any) -> Errors:
    then = "then" if _takes(validator, data, condition) else "else"
    yield from _within(validator, data, schema.get(then, True))


_KEYWORDS: Final[dict[str, _Keyword]] = {
    "$ref": _ref,
    "type": _type,
    "enum": _assertion(_is_not_one_of),
    "const": _assertion(lambda value, data: equality_key(value) != equality_key(data)),
    "multipleOf": _assertion(_is_no_multiple),
    "minimum": _assertion(lambda least, data: _is_number(data) and data < least),
    "maximum": _assertion(lambda most, data: _is_number(data) and data > most),
    "exclusiveMinimum": _assertion(lambda limit, data: _is_number(data) and data <= limit),
    "exclusiveMaximum": _assertion(lambda limit, data: _is_number(data) and data >= limit),
    "minLength": _assertion(lambda least, data: isinstance(data, str) and len(data) < least),
    "maxLength": _assertion(lambda most, data: isinstance(data, str) and len(data) > most),
    "format": _format,
    "minItems": _assertion(lambda least, data: _is_array(data) and len(data) < least),
    "maxItems": _assertion(lambda most, data: _is_array(data) and len(data) > most),
    "uniqueItems": _assertion(_has_duplicates),
    "items": _items,
    "prefixItems": _prefix_items,
    "contains": _contains,
    "minProperties": _assertion(lambda least, data: _is_object(data) and len(data) < least),
    "maxProperties": _assertion(lambda most, data: _is_object(data) and len(data) > most),
    "required": _required,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "properties": _properties,
    "propertyNames": _property_names,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
}
