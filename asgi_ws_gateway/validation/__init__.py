"""Validators: what refuses the data of an event, and says why without repeating it.

`Validator` is the contract; `JSONSchemaValidator` keeps it for JSON Schema. A validator is made
once, when gateways are registered, and finds out then whatever is wrong with its schema.
"""

from ..errors import Issue, ValidationFailed
from .base import Validator
from .json_schema import JSONSchemaValidator

__all__ = ["Issue", "JSONSchemaValidator", "ValidationFailed", "Validator"]
