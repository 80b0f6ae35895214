"""What a validator is: data in, the value for the handler out, or a list of issues."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Validator"]


@runtime_checkable
class Validator(Protocol):
    """Checks the data of one event.

    Its contract suite is `asgi_ws_gateway.testing.contracts.ValidatorContract`.
    """

    @property
    def schema(self) -> dict[str, Any] | bool:
        """The JSON Schema that describes what `validate` accepts, for documentation."""
        ...

    def validate(self, data: Any) -> Any:
        """Returns the value for the handler; it may be `data` itself or something built from it.

        Raises:
            ValidationFailed: `data` was refused. Issues hold at most 8 entries, and never
                a text taken from `data`.
        """
        ...
