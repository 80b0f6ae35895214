"""The loop by hand with the fastest codec there is, which validates as well."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from benchmarks.apps.by_hand import by_hand

__all__ = ["Submission", "application", "is_valid"]


class Submission(Struct, forbid_unknown_fields=True):
    """The schema of `submit` as msgspec has it."""

    title: Annotated[str, Meta(min_length=1, max_length=80)]
    email: Annotated[str, Meta(pattern="^[^@]+@[^@]+$")]
    seats: Annotated[int, Meta(ge=1, le=20)]
    kind: Literal["talk", "workshop"]
    tags: Annotated[list[str], Meta(max_length=5)]
    note: str


_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def _encode(value: Any) -> str:
    return _encoder.encode(value).decode()


def is_valid(data: Any) -> bool:
    """Whether a submission is one."""
    try:
        msgspec.convert(data, Submission)
    except msgspec.ValidationError:
        return False
    return True


application = by_hand(_decoder.decode, _encode, is_valid)
