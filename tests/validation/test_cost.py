"""What validating costs: no small message takes long, whatever the schema."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from asgi_ws_gateway import ValidationFailed
from asgi_ws_gateway.validation import JSONSchemaValidator

AGAIN = {"$ref": "#"}
SCHEMAS: dict[str, dict[str, Any]] = {
    "two parts": {"allOf": [{"properties": {"a": AGAIN}}, {"properties": {"a": AGAIN}}]},
    "two branches": {
        "anyOf": [{"properties": {"a": AGAIN}, "required": [name]} for name in ("y", "x")]
    },
    "a closed extension": {
        "$defs": {"base": {"properties": {"a": AGAIN, "x": {}}}},
        "allOf": [{"$ref": "#/$defs/base"}],
        "unevaluatedProperties": False,
    },
    "a discriminator": {
        "properties": {"x": {"enum": [1, 2]}, "a": AGAIN},
        "allOf": [
            {"if": {"properties": {"x": {"const": 1}}}, "then": {"properties": {"a": AGAIN}}}
        ],
    },
    "a dependent part": {
        "properties": {"a": AGAIN},
        "dependentSchemas": {"x": {"properties": {"a": AGAIN}}},
    },
    "overlapping patterns": {"patternProperties": {"^a": AGAIN, "a$": AGAIN}},
    "a bundle": {
        "$ref": "node",
        "$id": "https://example.org/root",
        "$defs": {
            "node": {
                "$id": "node",
                "anyOf": [
                    {"properties": {"a": {"$ref": "node"}}, "required": [name]}
                    for name in ("y", "x")
                ],
            }
        },
    },
    "a dynamic reference": {
        "$dynamicAnchor": "node",
        "anyOf": [
            {"properties": {"a": {"$dynamicRef": "#node"}}, "required": [name]}
            for name in ("y", "x")
        ],
    },
    "a recursive reference": {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$recursiveAnchor": True,
        "anyOf": [
            {"properties": {"a": {"$recursiveRef": "#"}}, "required": [name]} for name in ("y", "x")
        ],
    },
}


def issues(validator: JSONSchemaValidator, data: Any) -> list[str]:
    try:
        validator.validate(data)
    except ValidationFailed as error:
        return [issue.rule for issue in error.issues]
    return []


@pytest.mark.parametrize("end", [{"x": 1}, {}, [], {"x": 9}], ids=str)
@pytest.mark.parametrize("name", SCHEMAS)
def test_each_level_of_a_recursive_schema_is_looked_at_once(name: str, end: Any) -> None:
    validator = JSONSchemaValidator(SCHEMAS[name])
    data = end
    for _ in range(60):
        data = {"a": data, "x": 1}
    # 2 ** 60 visits would never be done: that it ends at all is what is tested.
    issues(validator, data)


@pytest.mark.parametrize(
    ("keyword", "data"),
    [
        ("unevaluatedItems", [0] * 40_000),
        ("unevaluatedProperties", {str(number): 0 for number in range(40_000)}),
    ],
)
def test_what_no_other_keyword_has_seen_is_found_in_linear_time(keyword: str, data: Any) -> None:
    each = "items" if isinstance(data, list) else "additionalProperties"
    validator = JSONSchemaValidator({"allOf": [{each: {"type": "integer"}}], keyword: False})
    started = process_time()
    assert issues(validator, data) == []
    assert process_time() - started < 2  # in quadratic time, four


def test_a_regular_expression_is_read_and_not_compiled() -> None:
    validator = JSONSchemaValidator({"format": "regex"})
    started = process_time()
    assert issues(validator, "(?i)" + "[\0-\uffff]" * 400) == []
    assert process_time() - started < 1  # to compile it takes more
    assert issues(validator, "(") == ["format"]


@pytest.mark.parametrize(
    ("keyword", "rules"), [("items", ["type"] * 2), ("contains", ["contains"])]
)
@pytest.mark.parametrize(
    "dialect",
    [
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
def test_of_too_many_items_none_is_looked_at(keyword: str, rules: list[str], dialect: str) -> None:
    validator = JSONSchemaValidator(
        {"$schema": dialect, "type": "array", keyword: {"type": "string"}, "maxItems": 2}
    )
    assert issues(validator, [0, 0, 0]) == ["maxItems"]
    assert issues(validator, [0, 0]) == rules
