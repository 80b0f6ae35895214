"""Rich values, one step towards JSON, and keys that are text."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from asgi_ws_gateway.protocol.plain import UnknownType, check_keys, to_plain


class Colour(Enum):
    RED = "red"
    INNER = date(2024, 1, 2)


@dataclass
class Point:
    x: Any
    y: Any = None


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Colour.INNER, date(2024, 1, 2)),
        (date(2024, 1, 2), "2024-01-02"),
        (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (Decimal("1E+2"), "1E+2"),
        (Point(Colour.RED), {"x": Colour.RED, "y": None}),
    ],
)
def test_one_step_leaves_what_is_inside_as_it_is(value: Any, plain: Any) -> None:
    assert to_plain(value) == plain


@pytest.mark.parametrize("value", [object(), b"x", {1}, Point, Colour, str, 1j])
def test_an_unknown_type_is_named(value: Any) -> None:
    with pytest.raises(UnknownType, match=f"a {type(value).__name__} cannot be put on the wire"):
        to_plain(value)


def test_a_msgspec_struct_is_taken_apart_by_msgspec() -> None:
    struct = msgspec.defstruct("Struct", [("user_id", int)], rename="camel")
    assert to_plain(struct(1)) == {"userId": 1}


def test_a_pydantic_model_is_taken_apart_by_pydantic() -> None:
    model = pydantic.create_model("Model", day=(date, ...))
    assert to_plain(model(day=date(2024, 1, 2))) == {"day": "2024-01-02"}


@pytest.mark.parametrize(
    "value", [None, 1, "a", [], {}, {"a": 1}, [{"a": {"b": [1, (2,)]}}], object(), {1, 2}]
)
def test_a_value_whose_keys_are_all_text_is_given_back_itself(value: Any) -> None:
    assert check_keys(value) is value


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"a", ("a",)])
def test_a_key_that_is_no_text_is_refused_at_any_depth(key: Any) -> None:
    wrong = {"a": 1, key: 2}
    for value in (wrong, [wrong], (1, wrong), {"a": wrong}, {"a": [1, ({"b": wrong},)]}):
        with pytest.raises(TypeError, match="keys must be text"):
            check_keys(value)
