"""The keywords of JSON Schema for jsonschema's validators, made safe for what clients send.

jsonschema's own write the refused value into each error's text: a secret, and a megabyte where
the value is one. Some also take quadratic time, list all errors where one is enough, or give them
in the order of a set. These say the same in less: an error here is its keyword, the schema's value
and a path. What is not here is jsonschema's own. It knows nothing of `Issue`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

from jsonschema.exceptions import ValidationError

from .automaton import parser
from .descent import REFERENCES, Errors, Keyword, inside, is_array, is_object, takes
from .equality import equality_key, has_duplicates, is_no_multiple, is_not_one_of, is_number
from .patterns import compile_pattern

__all__ = ["MAX_FORMAT_LENGTH", "SLOW_FORMATS", "Composed", "keywords"]

MAX_FORMAT_LENGTH: Final = 2048
"""Of a text with a `format`: some checkers take more than linear time."""

SLOW_FORMATS: Final = frozenset({"iri", "iri-reference"})
"""Left unchecked: rfc3987-syntax 1.1 takes a millisecond a character."""


class Composed(ValidationError):
    """No branch of an `anyOf` or `oneOf` took the value; what each says is found when asked."""

    branches: list[Errors]


def keywords(draft: str, bounded: bool) -> dict[str, Keyword]:
    """Those of one draft, such as `"2020-12"`, to extend jsonschema's validator with."""
    found = {**_KEYWORDS, **_with_patterns(bounded)}
    if draft == "2020-12":
        return found
    found |= {"items": _items_of_either_kind, "additionalItems": _additional_items}
    if draft != "2019-09":
        found |= {"contains": _contains_one, "dependencies": _dependencies}
    return found


def _assertion(refuses: Callable[[Any, Any], bool]) -> Keyword:
    def keyword(validator: Any, value: Any, data: Any, schema: Any) -> Errors:
        if refuses(value, data):
            yield ValidationError("")

    return keyword


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
        check = _is_regex if name == "regex" else found[0]
        conforms = len(data) <= MAX_FORMAT_LENGTH and check(data)
    except Exception:  # checkers are foreign code and raise more than they declare
        conforms = False
    if not conforms:
        yield ValidationError("")


def _is_regex(text: str) -> bool:
    # Only read: to compile 2 KB of `(?i)[\0-\uffff]` takes more than a second.
    parser.parse(text)
    return True


def _required(validator: Any, names: list[str], data: Any, schema: Any) -> Errors:
    if is_object(data):
        for name in names:
            if name not in data:
                yield ValidationError("", validator="required", validator_value=name)


def _dependent_required(validator: Any, dependents: Any, data: Any, schema: Any) -> Errors:
    if is_object(data):
        for name, needed in dependents.items():
            if name in data:
                for other in needed:
                    if other not in data:
                        yield ValidationError("", validator_value=(name, other))


def _dependencies(validator: Any, dependencies: Any, data: Any, schema: Any) -> Errors:
    for name, needed in dependencies.items():
        if is_array(needed):
            yield from _dependent_required(validator, {name: needed}, data, schema)
        elif is_object(data) and name in data:
            yield from inside(validator, data, needed)


def _dependent_schemas(validator: Any, dependents: Any, data: Any, schema: Any) -> Errors:
    if is_object(data):
        for name, needed in dependents.items():
            if name in data:
                yield from inside(validator, data, needed)


def _properties(validator: Any, properties: Any, data: Any, schema: Any) -> Errors:
    if is_object(data):
        for name, within in properties.items():
            if name in data:
                yield from inside(validator, data[name], within, name)


def _property_names(validator: Any, names: Any, data: Any, schema: Any) -> Errors:
    if is_object(data) and not all(takes(validator, name, names) for name in data):
        yield ValidationError("")


def _with_patterns(bounded: bool) -> dict[str, Keyword]:
    def pattern(validator: Any, value: str, data: Any, schema: Any) -> Errors:
        if isinstance(data, str) and not compile_pattern(value, bounded)(data):
            yield ValidationError("")

    def pattern_properties(validator: Any, patterns: Any, data: Any, schema: Any) -> Errors:
        if is_object(data):
            for value, within in patterns.items():
                matches = compile_pattern(value, bounded)
                for name, item in data.items():
                    if matches(name):
                        yield from inside(validator, item, within, name)

    def additional_properties(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
        if within is True or not is_object(data):
            return
        known = schema.get("properties", ())
        patterns = [compile_pattern(each, bounded) for each in schema.get("patternProperties", ())]
        for name, item in data.items():
            if name not in known and not any(matches(name) for matches in patterns):
                if within is False:
                    # At the object itself: which names it has is for the client to see.
                    yield ValidationError("")
                    return
                yield from inside(validator, item, within, name)

    return {
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
    }


def _items(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if is_array(data) and not _too_many(data, schema):
        yield from _items_from(len(schema.get("prefixItems", ())), validator, within, data)


def _too_many(data: list[Any], schema: Any) -> bool:
    """Whether `maxItems` says what is wrong: a look at each of a million items says no more."""
    return bool(len(data) > schema.get("maxItems", inf))


def _items_from(start: int, validator: Any, within: Any, data: list[Any]) -> Errors:
    if within is False:
        if len(data) > start:
            yield ValidationError("", validator_value=start)
    elif within is not True:
        for index in range(start, len(data)):
            yield from inside(validator, data[index], within, index)


def _prefix_items(validator: Any, prefix: Any, data: Any, schema: Any) -> Errors:
    if is_array(data):
        for index, (item, within) in enumerate(zip(data, prefix, strict=False)):
            yield from inside(validator, item, within, index)


def _items_of_either_kind(validator: Any, items: Any, data: Any, schema: Any) -> Errors:
    if is_array(items):
        yield from _prefix_items(validator, items, data, schema)
    elif is_array(data) and not _too_many(data, schema):
        yield from _items_from(0, validator, items, data)


def _additional_items(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    items = schema.get("items")
    if is_array(data) and is_array(items):
        yield from _items_from(len(items), validator, within, data)


def _contains(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if not is_array(data) or _too_many(data, schema):
        return
    least, most = schema.get("minContains", 1), schema.get("maxContains")
    count = 0
    for item in data:
        if takes(validator, item, within):
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
    if not is_array(data) or _too_many(data, schema):
        return
    if not any(takes(validator, item, within) for item in data):
        yield ValidationError("", validator_value=1)


def _all_of(validator: Any, branches: Any, data: Any, schema: Any) -> Errors:
    for within in branches:
        yield from inside(validator, data, within)


def _any_of(validator: Any, branches: Any, data: Any, schema: Any) -> Errors:
    # Stops at a branch's first error; jsonschema's own lists all errors of all branches.
    if not any(takes(validator, data, within) for within in branches):
        yield _composed(validator, branches, data)


def _one_of(validator: Any, branches: Any, data: Any, schema: Any) -> Errors:
    count = 0
    for within in branches:
        count += takes(validator, data, within)
        if count > 1:
            yield ValidationError("", validator_value=None)
            return
    if not count:
        yield _composed(validator, branches, data)


def _composed(validator: Any, branches: Any, data: Any) -> Composed:
    error = Composed("")
    error.branches = [inside(validator, data, within) for within in branches]
    return error


def _not(validator: Any, within: Any, data: Any, schema: Any) -> Errors:
    if takes(validator, data, within):
        yield ValidationError("")


def _if(validator: Any, condition: Any, data: Any, schema: Any) -> Errors:
    then = "then" if takes(validator, data, condition) else "else"
    yield from inside(validator, data, schema.get(then, True))


_KEYWORDS: Final[dict[str, Keyword]] = {
    **REFERENCES,
    "type": _type,
    "enum": _assertion(is_not_one_of),
    "const": _assertion(lambda value, data: equality_key(value) != equality_key(data)),
    "multipleOf": _assertion(is_no_multiple),
    "minimum": _assertion(lambda least, data: is_number(data) and data < least),
    "maximum": _assertion(lambda most, data: is_number(data) and data > most),
    "exclusiveMinimum": _assertion(lambda limit, data: is_number(data) and data <= limit),
    "exclusiveMaximum": _assertion(lambda limit, data: is_number(data) and data >= limit),
    "minLength": _assertion(lambda least, data: isinstance(data, str) and len(data) < least),
    "maxLength": _assertion(lambda most, data: isinstance(data, str) and len(data) > most),
    "format": _format,
    "minItems": _assertion(lambda least, data: is_array(data) and len(data) < least),
    "maxItems": _assertion(lambda most, data: is_array(data) and len(data) > most),
    "uniqueItems": _assertion(has_duplicates),
    "items": _items,
    "prefixItems": _prefix_items,
    "contains": _contains,
    "minProperties": _assertion(lambda least, data: is_object(data) and len(data) < least),
    "maxProperties": _assertion(lambda most, data: is_object(data) and len(data) > most),
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
