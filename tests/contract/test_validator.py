"""The validator of JSON Schema keeps the contract."""

from typing import Any

from asgi_ws_gateway.testing.contracts import ValidatorContract
from asgi_ws_gateway.validation.json_schema import JSONSchemaValidator


class TestJSONSchemaValidator(ValidatorContract):
    def make(self) -> JSONSchemaValidator:
        return JSONSchemaValidator(
            {
                "type": "object",
                "required": ["text"],
                "properties": {
                    "text": {"type": "string", "minLength": 1, "maxLength": 5},
                    "tags": {"type": "array", "uniqueItems": True, "maxItems": 2},
                    "secret": {"const": "other"},
                },
                "additionalProperties": {"type": "integer"},
            }
        )

    def valid(self) -> list[Any]:
        return [{"text": "a"}, {"text": "abcde", "tags": [], "more": 1}]

    def invalid(self) -> list[Any]:
        many = {f"key{number}/~": "text" for number in range(20)}
        return [None, [], {}, {"text": ""}, {"text": "a", "tags": [1, 1, 2]}, many]


class TestAnythingGoes(ValidatorContract):
    def make(self) -> JSONSchemaValidator:
        return JSONSchemaValidator(True)

    def valid(self) -> list[Any]:
        return [None, 1, "a", [], {}]

    def invalid(self) -> list[Any]:
        return []


class TestNothingGoes(ValidatorContract):
    def make(self) -> JSONSchemaValidator:
        return JSONSchemaValidator(False)

    def valid(self) -> list[Any]:
        return []

    def invalid(self) -> list[Any]:
        return [None, 1, "a", [], {}]
