"""The keywords in which jsonschema's own is not used: the verdict is the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema._utils import equal

from asgi_ws_gateway.errors import ValidationFailed
from asgi_ws_gateway.validation import JSONSchemaValidator
from asgi_ws_gateway.validation.equality import equality_key

# Few values, so that equal ones are met: 0 and False and 0.0, 1 and True and 1.0.
VALUES = st.recursive(
    st.sampled_from([None, False, True, 0, 1, 0.0, -0.0, 1.0, 1.5, 2**70, 2.0**70, "", "1", "31"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def is_taken(validator: JSONSchemaValidator, data: Any) -> bool:
    try:
        validator.validate(data)
    except ValidationFailed:
        return False
    return True


def takes(schema: Any, data: Any) -> bool:
    return is_taken(JSONSchemaValidator(schema), data)


@given(VALUES, VALUES)
def test_keys_are_equal_when_values_are(one: Any, two: Any) -> None:
    assert (equality_key(one) == equality_key(two)) is equal(one, two)


@given(st.lists(VALUES, max_size=6))
def test_unique_items_agree_with_jsonschema_pair_by_pair(items: list[Any]) -> None:
    # By pairs, for jsonschema's own `uniq` sorts, and may sort equal items apart:
    # [[1], [True], [1]] is unique to it.
    expected = not any(equal(one, two) for at, one in enumerate(items) for two in items[at + 1 :])
    assert takes({"uniqueItems": True}, items) is expected


@pytest.mark.parametrize("items", [[1, True], [0, False], ["1", 1], [{}, []], [[], {}, "", None]])
def test_unlike_values_are_unique(items: list[Any]) -> None:
    assert takes({"uniqueItems": True}, items)
    assert takes({"uniqueItems": True}, [[item] for item in items])
    assert takes({"uniqueItems": True}, [{"a": item} for item in items])


@pytest.mark.parametrize("items", [[1, 1.0], [True, True], [{"a": 1, "b": 2}, {"b": 2.0, "a": 1}]])
def test_equal_values_are_not(items: list[Any]) -> None:
    assert not takes({"uniqueItems": True}, items)
    assert takes({"uniqueItems": False}, items)


def test_unique_items_are_for_arrays() -> None:
    assert takes({"uniqueItems": True}, "aa")


DRAFTS = [
    (Draft202012Validator, "https://json-schema.org/draft/2020-12/schema"),
    (Draft201909Validator, "https://json-schema.org/draft/2019-09/schema"),
    (Draft7Validator, "http://json-schema.org/draft-07/schema#"),
]

SCHEMAS: list[dict[str, Any]] = [
    {"items": {"type": "integer"}, "additionalItems": False},
    {"items": False},
    {"items": True, "contains": {"type": "integer"}},
    {"contains": {"type": "integer"}, "minContains": 2, "maxContains": 3},
    {"contains": {"type": "integer"}, "maxContains": 1},
    {"contains": {"type": "integer"}, "minContains": 0},
    {"dependentRequired": {"a": ["b", "c"]}},
    {"dependentSchemas": {"a": {"required": ["b"]}, "c": False}},
    {"properties": {"a": {"type": "integer"}, "b": False}},
    {"patternProperties": {"^[ab]$": {"type": "integer"}}, "additionalProperties": False},
    {"properties": {"a": True}, "additionalProperties": {"type": "string"}},
    {"additionalProperties": True},
    {"propertyNames": {"maxLength": 1, "pattern": "^[ab]"}},
    {"required": ["a", "b"]},
    {"type": ["string", "null"]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"anyOf": [{"type": "integer"}, {"minItems": 2}]},
    {"not": {"type": "integer"}},
    {"if": {"type": "array"}, "then": {"minItems": 2}},
    {"if": {"type": "array"}, "else": {"type": "object"}},
    {"minProperties": 1, "maxProperties": 1},
    {"exclusiveMinimum": 0, "exclusiveMaximum": 2},
    {"maximum": 1, "minimum": 1},
    {"const": {"a": [1, False]}},
    {"enum": [1, "a", [True]]},
    {"multipleOf": 2},
]
OLD: list[dict[str, Any]] = [
    {"items": [{"type": "integer"}, True], "additionalItems": {"type": "string"}},
    {"items": [{"type": "integer"}], "additionalItems": False},
    {"dependencies": {"a": ["b"], "c": {"required": ["a"]}, "d": False}},
]
NEW: list[dict[str, Any]] = [
    {"prefixItems": [{"type": "integer"}, False], "items": {"type": "string"}},
    {"prefixItems": [True], "items": False},
    {"prefixItems": [True], "unevaluatedItems": False},
]
DATA: list[Any] = [
    *(None, True, False, 0, 1, 1.0, 2, 3, 1.5, "", "a", "ab"),
    *([], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], ["a"], [1, "a"], [1, "a", "b"], [True], [1, 1]),
    *({}, {"a": 1}, {"a": "x"}, {"b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, {"c": 1}),
    *({"d": 1}, {"long": 1}, {"a": [1, False]}, {"a": [1, 0]}, {"c": 1, "a": "x"}),
]


@pytest.mark.parametrize(("jsonschema_validator", "dialect"), DRAFTS)
def test_the_verdict_is_that_of_jsonschema(jsonschema_validator: Any, dialect: str) -> None:
    schemas = SCHEMAS + (NEW if jsonschema_validator is Draft202012Validator else OLD)
    for schema in schemas:
        judge = jsonschema_validator(schema)
        validator = JSONSchemaValidator({"$schema": dialect, **schema})
        for data in DATA:
            assert is_taken(validator, data) is judge.is_valid(data), (schema, data)
