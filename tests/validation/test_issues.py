"""What issues say, keyword by keyword, and which branch of a union they speak of."""

from typing import Any

import pytest
from jsonschema import Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError

from asgi_ws_gateway.errors import Issue, ValidationFailed
from asgi_ws_gateway.validation import JSONSchemaValidator
from asgi_ws_gateway.validation import issues as texts

SEVEN = {"$schema": "http://json-schema.org/draft-07/schema#"}
NINETEEN = {"$schema": "https://json-schema.org/draft/2019-09/schema"}
LONG = "y" * 400


def only_issue(schema: Any, data: Any) -> tuple[str, str, str]:
    with pytest.raises(ValidationFailed) as caught:
        JSONSchemaValidator(schema).validate(data)
    (issue,) = caught.value.issues
    return issue.path, issue.rule, issue.message


TEXTS: list[tuple[Any, Any, str, str, str]] = [
    ({"type": "string"}, 1, "", "type", "must be a string"),
    ({"type": "boolean"}, 1, "", "type", "must be true or false"),
    ({"type": ["object", "array", "null"]}, 1, "", "type", "must be an object, an array or null"),
    ({"type": ["number", "null"]}, "", "", "type", "must be a number or null"),
    ({"enum": ["a", 1, None]}, "b", "", "enum", 'must be one of: "a", 1, null'),
    ({"enum": [LONG]}, 1, "", "enum", f'must be one of: "{LONG[:199]}…'),
    ({"const": "é"}, 1, "", "const", 'must be "é"'),
    ({"multipleOf": 0.01}, 0.001, "", "multipleOf", "must be a multiple of 0.01"),
    ({"minimum": 1}, 0, "", "minimum", "must be at least 1"),
    ({"maximum": 1}, 2, "", "maximum", "must be at most 1"),
    ({"exclusiveMinimum": 1.5}, 1, "", "exclusiveMinimum", "must be greater than 1.5"),
    ({"exclusiveMaximum": 1}, 1, "", "exclusiveMaximum", "must be less than 1"),
    ({"minLength": 1}, "", "", "minLength", "must have at least 1 character"),
    ({"maxLength": 2}, "abc", "", "maxLength", "must have at most 2 characters"),
    ({"pattern": "^a"}, "b", "", "pattern", "must match the pattern ^a"),
    ({"pattern": LONG}, "b", "", "pattern", f"must match the pattern {LONG[:200]}…"),
    ({"format": "email"}, "b", "", "format", "must be a valid email"),
    ({"minItems": 1}, [], "", "minItems", "must have at least 1 item"),
    ({"maxItems": 0}, [1], "", "maxItems", "must have at most 0 items"),
    ({"uniqueItems": True}, [1, 1], "", "uniqueItems", "must not have equal items"),
    ({"items": False}, [1], "", "items", "must have at most 0 items"),
    ({"prefixItems": [{}], "items": False}, [1, 2], "", "items", "must have at most 1 item"),
    ({"prefixItems": [False]}, [1], "/0", "prefixItems", "is not allowed"),
    ({**SEVEN, "items": [False]}, [1], "/0", "items", "is not allowed"),
    (
        {**SEVEN, "items": [{}], "additionalItems": False},
        [1, 2],
        "",
        "additionalItems",
        "must have at most 1 item",
    ),
    ({"unevaluatedItems": False}, [1], "", "unevaluatedItems", "must not have further items"),
    ({"contains": {"const": 1}}, [], "", "contains", "must have an item of the required form"),
    (
        {**SEVEN, "contains": {"const": 1}},
        [2],
        "",
        "contains",
        "must have an item of the required form",
    ),
    (
        {"contains": {}, "minContains": 2},
        [1],
        "",
        "minContains",
        "must have at least 2 items of the required form",
    ),
    (
        {"contains": {}, "maxContains": 1},
        [1, 2],
        "",
        "maxContains",
        "must have at most 1 item of the required form",
    ),
    ({"minProperties": 1}, {}, "", "minProperties", "must have at least 1 property"),
    ({"maxProperties": 0}, {"a": 1}, "", "maxProperties", "must have at most 0 properties"),
    ({"required": ["text"]}, {}, "", "required", "'text' is required"),
    (
        {"dependentRequired": {"a": ["b"]}},
        {"a": 1},
        "",
        "dependentRequired",
        "'b' is required when 'a' is there",
    ),
    (
        {**SEVEN, "dependencies": {"a": ["b"]}},
        {"a": 1},
        "",
        "dependencies",
        "'b' is required when 'a' is there",
    ),
    ({**SEVEN, "dependencies": {"a": False}}, {"a": 1}, "", "dependencies", "is not allowed"),
    ({"dependentSchemas": {"a": False}}, {"a": 1}, "", "dependentSchemas", "is not allowed"),
    ({"properties": {"a": False}}, {"a": 1}, "/a", "properties", "is not allowed"),
    ({"patternProperties": {"a": False}}, {"a": 1}, "/a", "patternProperties", "is not allowed"),
    (
        {"additionalProperties": False},
        {"a": 1},
        "",
        "additionalProperties",
        "must not have unknown properties",
    ),
    (
        {"unevaluatedProperties": False},
        {"a": 1},
        "",
        "unevaluatedProperties",
        "must not have unknown properties",
    ),
    (
        {"propertyNames": {"maxLength": 1}},
        {"ab": 1},
        "",
        "propertyNames",
        "must not have a property of such a name",
    ),
    ({"allOf": [False]}, 1, "", "allOf", "is not allowed"),
    ({"not": {}}, 1, "", "not", "must not be of the forbidden form"),
    ({"if": True, "then": False}, 1, "", "if", "is not allowed"),
    ({"if": False, "else": {"type": "null"}}, 1, "", "type", "must be null"),
    ({"$ref": "#/$defs/a", "$defs": {"a": False}}, 1, "", "$ref", "is not allowed"),
    (
        {"$defs": {"a": {"$dynamicAnchor": "a", "type": "null"}}, "$dynamicRef": "#a"},
        1,
        "",
        "type",
        "must be null",
    ),
    (
        {**NINETEEN, "properties": {"a": {"$recursiveRef": "#"}}, "type": "object"},
        {"a": 1},
        "/a",
        "type",
        "must be an object",
    ),
]


@pytest.mark.parametrize(("schema", "data", "path", "rule", "message"), TEXTS)
def test_texts(schema: Any, data: Any, path: str, rule: str, message: str) -> None:
    assert only_issue(schema, data) == (path, rule, message)


def test_every_keyword_that_can_refuse_has_its_text() -> None:
    for draft in (
        Draft6Validator,
        Draft7Validator,
        Draft201909Validator,
        Draft202012Validator,
    ):
        assert set(draft.VALIDATORS) <= set(texts._MESSAGES)


def test_a_keyword_of_the_future_has_a_text_too() -> None:
    error = ValidationError("hunter2", validator="propertyDependencies", validator_value={})
    assert texts.list_issues([error]) == [
        Issue("", "does not match the schema", "propertyDependencies")
    ]


UNION = {
    "anyOf": [
        {"properties": {"kind": {"const": "a"}, "size": {"type": "integer"}}, "required": ["kind"]},
        {"properties": {"kind": {"const": "b"}, "name": {"minLength": 1}}, "required": ["kind"]},
    ]
}


@pytest.mark.parametrize(
    ("schema", "data", "path", "rule", "message"),
    [
        # The discriminator tells which branch was meant.
        (UNION, {"kind": "a", "size": "x"}, "/size", "type", "must be an integer"),
        (UNION, {"kind": "b", "name": ""}, "/name", "minLength", "must have at least 1 character"),
        (UNION, {"kind": "c"}, "", "anyOf", "must match at least one of the allowed forms"),
        (UNION, {}, "", "anyOf", "must match at least one of the allowed forms"),
        ({"oneOf": UNION["anyOf"]}, {}, "", "oneOf", "must match one of the allowed forms"),
        ({"items": UNION}, [{"kind": "a", "size": 1.5}], "/0/size", "type", "must be an integer"),
        # Types alone: say which.
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            1,
            "",
            "anyOf",
            "must be a string or null",
        ),
        (
            {"oneOf": [{"type": ["string", "null"]}, {"type": "null"}]},
            1,
            "",
            "oneOf",
            "must be a string or null",
        ),
        # The one for values of this type.
        (
            {"anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}]},
            "a",
            "",
            "minLength",
            "must have at least 2 characters",
        ),
        # The fewest errors.
        (
            {"anyOf": [{"required": ["a", "b"]}, {"required": ["c"]}]},
            {},
            "",
            "required",
            "'c' is required",
        ),
        # Unions in unions.
        (
            {"anyOf": [{"type": "null"}, {"oneOf": [{"type": "array"}, {"maxLength": 1}]}]},
            "ab",
            "",
            "maxLength",
            "must have at most 1 character",
        ),
        (
            {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
            3,
            "",
            "oneOf",
            "must match exactly one of the allowed forms, not several",
        ),
        ({"anyOf": [False, {"type": "null"}]}, 1, "", "anyOf", "must be null"),
        ({"oneOf": [False, False]}, 1, "", "oneOf", "must match one of the allowed forms"),
    ],
)
def test_unions(schema: Any, data: Any, path: str, rule: str, message: str) -> None:
    assert only_issue(schema, data) == (path, rule, message)


def test_equal_issues_are_one() -> None:
    schema = {"allOf": [{"type": "string"}, {"type": "string"}]}
    assert only_issue(schema, 1) == ("", "type", "must be a string")


def test_paths_with_indices_and_names_are_in_order() -> None:
    schema = {"additionalProperties": {"items": {"type": "null"}}}
    with pytest.raises(ValidationFailed) as caught:
        JSONSchemaValidator(schema).validate({"b": [1], "a": [None, *range(11)]})
    assert [issue.path for issue in caught.value.issues] == [
        *(f"/a/{index}" for index in range(1, 8)),
        "/b/0",
    ]
