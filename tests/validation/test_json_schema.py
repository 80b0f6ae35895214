"""JSON Schema validation: the verdicts, what is refused at registration, and what issues say."""

import logging
import socket
import time
import urllib.request
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from asgi_ws_gateway.errors import ConfigurationError, Issue, ValidationFailed
from asgi_ws_gateway.validation import JSONSchemaValidator, Validator

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"

SUBMIT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "minLength": 1, "maxLength": 64},
        "text": {"type": "string", "minLength": 1},
        "id": {"type": "string", "format": "uuid"},
        "nick": {"type": "string", "pattern": "^[a-z0-9_-]{1,32}$"},
        "kind": {"enum": ["chat", "action"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "uniqueItems": True},
    },
    "required": ["room", "text"],
    "additionalProperties": False,
}

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
}


def issues_of(validator: JSONSchemaValidator, data: Any) -> list[Issue]:
    try:
        assert validator.validate(data) is data
    except ValidationFailed as failed:
        return list(failed.issues)
    return []


def issues(schema: Any, data: Any, **options: Any) -> list[Issue]:
    return issues_of(JSONSchemaValidator(schema, **options), data)


def mistake(schema: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        JSONSchemaValidator(schema)
    assert len(caught.value.mistakes) == 1
    return caught.value.mistakes[0]


def at(data: Any, pointer: str) -> Any:
    """What a JSON Pointer points to."""
    for segment in pointer.split("/")[1:]:
        key = segment.replace("~1", "/").replace("~0", "~")
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


def test_returns_the_data_as_sent() -> None:
    validator = JSONSchemaValidator(SUBMIT)
    data = {"room": "lobby", "text": "hi"}
    assert validator.validate(data) is data
    assert isinstance(validator, Validator)
    assert validator.schema is SUBMIT


def test_lists_what_is_wrong_by_path_then_rule() -> None:
    assert issues(SUBMIT, {"room": "", "nick": "A!", "tags": [1, "a", "a"], "x": 1}) == [
        Issue("", "must not have unknown properties", "additionalProperties"),
        Issue("", "'text' is required", "required"),
        Issue("/nick", "must match the pattern ^[a-z0-9_-]{1,32}$", "pattern"),
        Issue("/room", "must have at least 1 character", "minLength"),
        Issue("/tags", "must not have equal items", "uniqueItems"),
        Issue("/tags/0", "must be a string", "type"),
    ]


def test_boolean_schemas() -> None:
    assert issues(True, object()) == []
    assert issues(False, None) == [Issue("", "is not allowed", "false")]


@pytest.mark.parametrize(
    ("schema", "data", "taken"),
    [
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 1.0, True),
        ({"type": "number"}, False, False),
        ({"minimum": 1}, False, True),
        ({"const": 1}, True, False),
        ({"const": 1}, 1.0, True),
        ({"enum": [[1, {"a": False}]]}, [1.0, {"a": 0}], False),
        ({"multipleOf": 0.01}, 19.99, True),
        ({"multipleOf": 0.01}, 0.07, True),
        ({"multipleOf": 0.01}, 4.355, False),
        ({"multipleOf": 0.1}, 10**40, True),
        ({"multipleOf": 0.3}, 1e308, False),
        ({"multipleOf": 3}, 9.0, True),
        ({"multipleOf": 1}, float("inf"), False),
        ({"multipleOf": 0.5}, float("nan"), False),
        ({"multipleOf": 2}, True, True),
        ({"pattern": "^a$"}, "a\n", False),
        ({"pattern": "^\\d$"}, "٣", False),
        ({"patternProperties": {"^a$": {"type": "null"}}}, {"a\n": 1}, True),
        ({"format": "uuid"}, "6f1f3a2e-8f0b-4b8e-9a56-1c7d7c1f2a3b", True),
        ({"format": "uuid"}, "no", False),
        ({"format": "uuid"}, 1, True),
        ({"format": "email"}, "a@" + "b" * 5000, False),
        ({"format": "regex"}, "(" * 2000, False),
        ({"$schema": DRAFT_7, "$ref": "#/definitions/a", "definitions": {"a": False}}, 1, False),
        ({"$schema": DRAFT_7, "items": [True, False]}, [1, 2], False),
        ({"$schema": DRAFT_2019, "$recursiveRef": "#", "type": "object"}, [], None),
    ],
)
def test_verdicts(schema: Any, data: Any, taken: bool | None) -> None:
    if taken is None:
        assert "contains itself" in mistake(schema)
    else:
        assert (issues(schema, data) == []) is taken


def test_numbers_too_long_to_be_written() -> None:
    number = 10**5000  # Python refuses to make text of it
    assert [issue.rule for issue in issues({"maximum": 5, "type": "string"}, number)] == [
        "maximum",
        "type",
    ]
    assert issues({"multipleOf": 0.3}, number) != []
    assert issues({"uniqueItems": True, "items": {"multipleOf": 0.5}}, [number, 1]) == []


def test_a_copy_is_compiled() -> None:
    schema: dict[str, Any] = {"properties": {"a": {"type": "string"}}}
    validator = JSONSchemaValidator(schema)
    schema["properties"]["a"]["type"] = "integer"
    assert validator.validate({"a": "x"}) == {"a": "x"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strin"}, "invalid at /type"),
        ({"properties": {"a/b": {"minLength": "1"}}}, "invalid at /properties/a~1b/minLength"),
        (3, "invalid at its root"),
        ({"$schema": "https://example.com/mine"}, "not known"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "not known"),
        ({"$schema": 3}, "not known"),
        ({"$ref": "#/$defs/x"}, "'#/$defs/x' does not resolve"),
        ({"$ref": "#nowhere"}, "'#nowhere' does not resolve"),
        ({"prefixItems": [True], "items": {"$ref": "#/prefixItems/x"}}, "does not resolve"),
        ({"$dynamicRef": "#gone"}, "'#gone' does not resolve"),
        ({"not": {"items": {"$ref": "http://example.com/a.json"}}}, "$defs"),
        ({"$id": "http://example.com/", "$ref": "b.json"}, "'b.json' does not resolve"),
        ({"$ref": "file:///etc/passwd"}, "nothing is fetched"),
        ({"$ref": "#/x", "x": [1]}, "not a schema"),
        ({"$ref": "#/x", "x": {"type": "strin"}}, "invalid at /type"),
        ({"$schema": DRAFT_7, "dependencies": {"a": ["b"], "c": {"$ref": "#/z"}}}, "'#/z'"),
        ({"pattern": "(a)\\1"}, "refers back"),
        ({"patternProperties": {"\\p{L}": True}}, "\\p{...}"),
        ({"patternProperties": {"[a-z]+x": True}, "unevaluatedProperties": False}, "too complex"),
        ({"$ref": "#"}, "contains itself"),
        ({"allOf": [{"anyOf": [{"$ref": "#"}]}]}, "contains itself"),
        ({1: True}, "the key 1 at its root"),
        ({"enum": [{"a": (1, 2)}]}, "a tuple at /enum/0/a"),
        ({"default": {1, 2}}, "a set at /default"),
        (
            {"$defs": {"a": {"$id": "a", "$schema": DRAFT_7}}, "$ref": "#/$defs/a"},
            "mixes drafts",
        ),
    ],
)
def test_what_is_wrong_with_a_schema_is_known_at_once(schema: Any, said: str) -> None:
    assert said in mistake(schema)


def test_a_schema_inside_itself() -> None:
    schema: dict[str, Any] = {}
    schema["not"] = schema
    assert "contains itself" in mistake(schema)


def test_nothing_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    for remote in ("http://example.com/a.json", "https://example.com/", "file:///tmp/a.json", "a"):
        for keyword in ("$ref", "$dynamicRef"):
            assert "nothing is fetched" in mistake({"properties": {"a": {keyword: remote}}})
    # What cannot be reached from any keyword is not looked at, and not followed either.
    assert issues({"x-unused": {"$ref": "http://example.com/a.json"}}, 1) == []


def test_meta_schemas_resolve_without_the_network() -> None:
    schema = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    assert issues(schema, {"type": "string"}) == []
    assert [issue.path for issue in issues(schema, {"type": "strin"})] == ["/type"]
    seven = {"$schema": DRAFT_7, "properties": {"a": {"$ref": DRAFT_7}}}
    assert [issue.path for issue in issues(seven, {"a": {"minLength": -1}})] == ["/a/minLength"]


def test_references() -> None:
    schema = {
        "$defs": {
            "name": {"$anchor": "name", "type": "string"},
            "pair": {"prefixItems": [{"$ref": "#/$defs/name"}, {"$ref": "#name"}]},
        },
        "properties": {"p": {"$ref": "#/$defs/pair"}, "next": {"$ref": "#"}},
    }
    assert issues(schema, {"p": ["a", "b"], "next": {"p": []}}) == []
    assert [issue.path for issue in issues(schema, {"p": ["a", 1], "next": {"p": [2]}})] == [
        "/next/p/0",
        "/p/1",
    ]


def test_embedded_resources_and_dynamic_references() -> None:
    schema = {
        "$id": "https://example.com/tree",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$dynamicAnchor": "node",
        "properties": {
            "children": {"items": {"$dynamicRef": "#node"}},
            "name": {"$ref": "name#/$defs/short"},
        },
        "$defs": {
            "name": {
                "$id": "name",
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$defs": {"short": {"maxLength": 3}},
            }
        },
    }
    assert issues(schema, {"children": [{"name": "abc"}]}) == []
    assert issues(schema, {"children": [{"name": "abcd"}]}) == [
        Issue("/children/0/name", "must have at most 3 characters", "maxLength")
    ]


def test_unevaluated_properties_see_the_same_patterns() -> None:
    schema = {
        "patternProperties": {"^[a-z]$": {"type": "string"}},
        "unevaluatedProperties": False,
        "allOf": [{"properties": {"xy": True}}],
    }
    assert issues(schema, {"a": "1", "xy": 2}) == []
    for unknown in ("a\n", "B", "ab"):
        assert issues(schema, {unknown: "1"}) == [
            Issue("", "must not have unknown properties", "unevaluatedProperties")
        ]


def test_a_format_without_checker_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        validator = JSONSchemaValidator(
            {"items": {"anyOf": [{"format": "phone"}, {"format": "iri"}, {"format": "uuid"}]}}
        )
        validator.validate(["x"])
    assert [record.getMessage() for record in caplog.records] == [
        "format 'iri', 'phone' is not checked, for lack of a checker; those of JSON Schema come "
        "with asgi-ws-gateway[formats]"
    ]


def test_no_warning_when_all_formats_are_checked(caplog: pytest.LogCaptureFixture) -> None:
    JSONSchemaValidator(SUBMIT)
    assert caplog.records == []


def test_bounds_can_be_lifted() -> None:
    schema = {"pattern": "^(a)\\1$"}
    assert issues(schema, "aa", bounded=False) == []
    assert issues(schema, "ab", bounded=False) != []
    loose = {"patternProperties": {"[a-z]+x": True}, "unevaluatedProperties": False}
    assert issues(loose, {"ax": 1}, bounded=False) == []


def test_data_too_deep_is_refused() -> None:
    data: Any = {}
    for _ in range(2_000):
        data = {"children": [data]}
    assert issues(TREE, data) == [Issue("", "is nested too deeply", "$ref")]
    assert [issue.rule for issue in issues({"enum": [1]}, data)] == ["$ref"]


def test_the_default_depth_of_a_message_is_not_too_deep() -> None:
    data: Any = {}
    for _ in range(31):
        data = {"children": [data]}
    assert issues(TREE, data) == []


def test_whatever_goes_wrong_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hostile(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            raise OverflowError("hunter2")

    assert issues(SUBMIT, Hostile()) == [Issue("", "could not be checked", "")]
    assert "OverflowError" in caplog.text
    assert "hunter2" not in caplog.text


def test_at_most_8_issues_and_no_more_work_than_that() -> None:
    schema = {"items": {"anyOf": [{"type": "integer"}, {"items": {"type": "integer"}}]}}
    validator = JSONSchemaValidator(schema)
    data = [["x"] * 2_000] * 20
    start = time.process_time()
    with pytest.raises(ValidationFailed) as failed:
        validator.validate(data)
    assert time.process_time() - start < 0.25  # all errors of all branches: seconds
    assert [issue.path for issue in failed.value.issues] == [f"/0/{index}" for index in range(8)]


def test_recursive_unions_do_not_double_the_work_at_each_level() -> None:
    expression = {
        "oneOf": [
            {"properties": {"of": {"$ref": "#"}, "op": {"const": "not"}}, "required": ["op"]},
            {"properties": {"of": {"$ref": "#"}, "op": {"const": "minus"}}, "required": ["op"]},
        ]
    }
    validator = JSONSchemaValidator(expression)
    good: Any = {"op": "not"}
    bad: Any = {"op": "hunter2"}
    for _ in range(30):
        good, bad = {"of": good, "op": "minus"}, {"of": bad, "op": "minus"}
    assert validator.validate(good) is good
    found = issues_of(validator, bad)  # 2**30 steps otherwise
    assert [(issue.path, issue.rule) for issue in found] == [("/of" * 30, "oneOf")]


def test_large_arrays_of_objects_are_compared_in_linear_time() -> None:
    validator = JSONSchemaValidator({"uniqueItems": True})
    start = time.process_time()
    validator.validate([{"id": index} for index in range(20_000)])
    # Integers that hash alike, which anybody can choose: quadratic in a set of integers.
    validator.validate([index * (2**61 - 1) for index in range(20_000)])
    assert time.process_time() - start < 2


def test_a_megabyte_is_not_repeated() -> None:
    text = "hunter2" * 150_000
    for schema in (
        {"type": "integer"},
        {"maxLength": 3},
        {"enum": ["a"]},
        {"const": 1},
        {"not": {}},
        {"anyOf": [{"type": "null"}, {"const": 1}]},
        {"format": "uuid"},
        {"pattern": "^x"},
    ):
        found = issues(schema, text)
        assert len(found) == 1
        assert len(found[0].message) < 100


def test_paths_are_escaped_and_cut_at_a_parent() -> None:
    schema = {"additionalProperties": {"additionalProperties": {"type": "string"}}}
    assert [issue.path for issue in issues(schema, {"a/b": {"~": 1}})] == ["/a~1b/~0"]
    assert [issue.path for issue in issues(schema, {"a": {"x" * 600: 1}})] == ["/a"]


CANARY = "kanarienvogel"

_KEYS = st.sampled_from(["a", "b", "/~", CANARY, "x" * 300])
_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3).map(lambda text: CANARY + text),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(["a", "b", "c"])


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "properties": st.dictionaries(_NAMES, inner, max_size=3),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$", "."]), inner, max_size=2),
        "additionalProperties": inner,
        "unevaluatedProperties": inner,
        "propertyNames": inner,
        "dependentSchemas": st.dictionaries(_NAMES, inner, max_size=2),
        "items": inner,
        "prefixItems": some,
        "contains": inner,
        "unevaluatedItems": inner,
        "minContains": st.integers(0, 2),
        "maxContains": st.integers(0, 2),
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "required": st.lists(_NAMES, max_size=2, unique=True),
        "dependentRequired": st.dictionaries(_NAMES, st.lists(_NAMES, unique=True), max_size=2),
        "uniqueItems": st.booleans(),
        "$ref": st.just("#/$defs/d"),
    }
    return st.fixed_dictionaries({}, optional=keywords)


_TYPES = st.sampled_from(
    ["array", "boolean", "integer", "null", "number", "object", "string"],
)
_SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=2, unique=True),
            "enum": st.lists(st.sampled_from([None, 0, 1, True, "a", [1], {"a": 1}]), min_size=1),
            "const": st.sampled_from([None, 0, False, 1.0, [True], {"a": [0]}]),
            "minimum": st.integers(-3, 3),
            "exclusiveMaximum": st.integers(-3, 3),
            "minLength": st.integers(0, 15),
            "maxLength": st.integers(0, 15),
            "pattern": st.sampled_from(["^k", "n.*l$", "[0-9]"]),
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 2),
            "multipleOf": st.integers(1, 3),
        },
    ),
    _larger,
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(schema=_SCHEMAS, data=_DATA, definition=_SCHEMAS)
def test_agrees_with_jsonschema_and_never_repeats_the_value(
    schema: Any, data: Any, definition: Any
) -> None:
    whole = {"$defs": {"d": definition}, "allOf": [schema]}
    try:
        validator = JSONSchemaValidator(whole)
        expected = Draft202012Validator(whole).is_valid(data)
    except (ConfigurationError, RecursionError):
        return  # a definition that refers to itself, or patterns beside `unevaluatedProperties`
    found = issues_of(validator, data)
    assert (found == []) is expected
    assert found == issues_of(validator, data)
    assert len(set(found)) == len(found) <= 8
    for issue in found:
        assert CANARY not in issue.message
        assert issue.rule
        assert len(issue.path) <= 512
        at(data, issue.path)
