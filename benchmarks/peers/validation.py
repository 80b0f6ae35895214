"""What the peers validate a submission with."""

from __future__ import annotations

from typing import Annotated, Literal

from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field

from benchmarks.messages import SCHEMA

__all__ = ["Form", "is_valid"]

is_valid = Draft202012Validator(SCHEMA).is_valid
"""For those that bring nothing of their own."""


class Form(BaseModel):
    """For those that are made for pydantic."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=80)]
    email: Annotated[str, Field(pattern="^[^@]+@[^@]+$")]
    seats: Annotated[int, Field(ge=1, le=20)]
    kind: Literal["talk", "workshop"]
    tags: Annotated[list[str], Field(max_length=5)]
    note: str
