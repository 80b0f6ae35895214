"""JSON Schema validation with jsonschema, which is given everything it needs once, in advance.

A schema is copied, checked, all of its references resolved without any network, its patterns
compiled; what is wrong with it is known before the first message. It knows nothing of messages.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, Final

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError
from jsonschema.validators import (
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
)
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from ..errors import ConfigurationError, Issue, ValidationFailed
from .descent import VERDICTS, Node
from .issues import list_issues, pointer
from .keywords import SLOW_FORMATS, keywords
from .patterns import PatternError, compile_pattern, is_plain, to_python

__all__ = ["JSONSchemaValidator"]

# Both without types; the second comes with jsonschema.
_extend: Any = import_module("jsonschema.validators").extend
_specifications: Any = import_module("jsonschema_specifications").REGISTRY

_logger = logging.getLogger("asgi_ws_gateway.validation")

_NEWEST: Final = "https://json-schema.org/draft/2020-12/schema"

# Drafts 3 and 4 are left out: 1.0 is no integer there, and their `exclusiveMinimum` is a flag.
_DRAFTS: Final[dict[str, tuple[str, Any]]] = {
    _NEWEST: ("2020-12", Draft202012Validator),
    "https://json-schema.org/draft/2019-09/schema": ("2019-09", Draft201909Validator),
    "http://json-schema.org/draft-07/schema": ("7", Draft7Validator),
    "http://json-schema.org/draft-06/schema": ("6", Draft6Validator),
}

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")

# With any of these, what an object of the schema means may depend on the way that led there.
_MOVING: Final = frozenset({"$dynamicRef", "$recursiveRef", "$id"})

# One of each kind: a `$ref` that leads back to itself without a step into the data shows at once.
_PROBES: Final[tuple[Any, ...]] = ({}, [], "", 0, True, None)

_TOO_DEEP: Final = Issue("", "is nested too deeply", "$ref")
_UNCHECKED: Final = Issue("", "could not be checked", "")


class JSONSchemaValidator:
    """A `Validator` for a JSON Schema; the handler gets the data as it was sent.

    The draft is that of `$schema`: 2020-12 (if it is absent), 2019-09, 7 or 6. `format` is
    asserted wherever a checker is installed; for the others a warning is logged.

    Args:
        schema: It is copied: changing it later changes nothing.
        bounded: `False` leaves every `pattern` to Python's `re`, however long one takes. For
            schemas and data that are both your own.

    Raises:
        ConfigurationError: The schema is invalid, has a reference that does not resolve within
            it (nothing is ever fetched), or a pattern for which linear time cannot be promised.
    """

    __slots__ = ("_checker", "_schema")

    def __init__(self, schema: dict[str, Any] | bool, *, bounded: bool = True) -> None:
        self._schema = schema
        try:
            self._checker: Any = _compile(schema, bounded)
        except RecursionError:
            raise ConfigurationError(
                "the schema contains itself; let a $ref refer to the part that repeats, below "
                "a keyword such as `properties` or `items`"
            ) from None

    @property
    def schema(self) -> dict[str, Any] | bool:
        """The schema as it was given."""
        return self._schema

    def validate(self, data: Any) -> Any:
        """Returns `data` itself.

        Raises:
            ValidationFailed: And nothing else, whatever `data` is.
        """
        try:
            # One walk: it stops at once when there is nothing wrong, else after a few issues.
            issues = list_issues(self._checker.iter_errors(data))
        except RecursionError:
            issues = [_TOO_DEEP]
        except Exception as error:
            # jsonschema runs here, on what a stranger sent. Its text may quote the value.
            _logger.error("a schema could not be applied: %s", type(error).__name__)
            issues = [_UNCHECKED]
        finally:
            VERDICTS.known.clear()
        if issues:
            raise ValidationFailed(issues)
        return data


def _compile(schema: dict[str, Any] | bool, bounded: bool) -> Any:
    root = _copy(schema, ())
    named = root.get("$schema", _NEWEST) if isinstance(root, Node) else _NEWEST
    dialect = str(named).rstrip("#")
    if dialect not in _DRAFTS:
        raise ConfigurationError(
            f"the schema's $schema is {named!r:.200}, which is not known; leave it out for "
            f"2020-12, or use one of {', '.join(_DRAFTS)}"
        )
    _, base = _DRAFTS[dialect]
    _check(root, base)
    if isinstance(root, Node):
        _prepare(root, dialect, base, bounded)
    # Without a registry of ours, jsonschema fetches what it does not know.
    checker = _checker_class(dialect, bounded)(
        root, format_checker=base.FORMAT_CHECKER, registry=_meta_schemas()
    )
    try:
        for probe in _PROBES:
            next(checker.iter_errors(probe), None)
    finally:
        VERDICTS.known.clear()
    return checker


@cache
def _meta_schemas() -> Any:
    """All that a reference may lead to outside its schema."""
    resources: list[tuple[str, Resource[Any]]] = []
    for uri, resource in _specifications.items():
        contents = _copy(resource.contents, ())
        # jsonschema would change to its own class of validator wherever it meets `$schema`.
        specification: Any = specification_with(contents.pop("$schema"))
        resources.append((uri, specification.create_resource(contents)))
    # Crawled, so that its anchors replace those that jsonschema knows.
    return type(_specifications)().with_resources(resources).crawl()


@cache
def _checker_class(dialect: str, bounded: bool) -> Any:
    draft, base = _DRAFTS[dialect]
    ours = keywords(draft, bounded)
    # None that the draft does not know: there, they say nothing.
    return _extend(base, {name: ours[name] for name in ours if name in base.VALIDATORS})


def _copy(value: Any, path: tuple[str | int, ...]) -> Any:
    match value:
        case dict():
            items: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
            for key in items:
                if not isinstance(key, str):
                    raise ConfigurationError(
                        f"the schema has the key {key!r:.100} at {pointer(path) or 'its root'}; "
                        "JSON has only text as keys"
                    )
            return Node((key, _copy(item, (*path, key))) for key, item in items.items())
        case list():
            listed: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [_copy(item, (*path, index)) for index, item in enumerate(listed)]
        case str() | bool() | int() | float() | None:
            return value
        case _:
            raise ConfigurationError(
                f"the schema has a {type(value).__name__} at {pointer(path) or 'its root'}, "
                "which is not JSON"
            )


def _prepare(root: Node, dialect: str, base: Any, bounded: bool) -> None:
    """Refuses what would fail later, and fills in what each object of the schema can know."""
    root.pop("$schema", None)  # as in `_meta_schemas`
    nodes = list(_objects(root, dialect, base))
    unchecked: set[str] = set()
    for node in nodes:
        if str(node.pop("$schema", dialect)).rstrip("#") != dialect:
            raise ConfigurationError(
                "the schema mixes drafts; remove each $schema but the one at its root"
            )
        for pattern in (*_texts(node, "pattern"), *node.get("patternProperties", ())):
            try:
                compile_pattern(pattern, bounded)
            except PatternError as error:
                raise ConfigurationError(f"the pattern {pattern!r:.200} {error}") from None
        unchecked.update(_texts(node, "format"))
    if any("unevaluatedProperties" in node for node in nodes):
        for node in nodes:
            _leave_patterns_to_jsonschema(node, bounded)
        nodes = list(_objects(root, dialect, base))
    fixed = not any(_MOVING & node.keys() - ({"$id"} if node is root else set()) for node in nodes)
    for node in nodes:
        node.fixed = fixed
    unchecked -= base.FORMAT_CHECKER.checkers.keys() - SLOW_FORMATS
    if unchecked:
        _logger.warning(
            "format %s is not checked, for lack of a checker; those of JSON Schema come with "
            "asgi-ws-gateway[formats]",
            ", ".join(sorted(map(repr, unchecked))),
        )


def _objects(root: Node, dialect: str, base: Any) -> Iterator[Node]:
    """Every object of the schema that is itself a schema, with the target of its `$ref`."""
    specification: Any = specification_with(dialect)
    resolver: Any = _meta_schemas().resolver_with_root(specification.create_resource(root))
    # What lies in a keyword comes first: a target that is then still new is in no place that
    # the check of the whole schema knows.
    pending: deque[tuple[Any, Any, bool]] = deque([(root, resolver, False)])
    seen: set[int] = set()
    while pending:
        node, resolver, referred = pending.popleft()
        if not isinstance(node, Node) or id(node) in seen:
            continue
        if referred:
            _check(node, base)
        seen.add(id(node))
        yield node
        resolver = resolver.in_subresource(specification.create_resource(node))
        below = [*specification.subresources_of(node), *node.get("dependencies", {}).values()]
        pending.extendleft((each, resolver, False) for each in below)
        for keyword in _REFERENCES:
            for reference in _texts(node, keyword):
                resolved = _resolve(resolver, reference)
                if keyword == "$ref":
                    node.target = resolved.contents
                pending.append((resolved.contents, resolved.resolver, True))


def _resolve(resolver: Any, reference: str) -> Any:
    try:
        resolved = resolver.lookup(reference)
    except (Unresolvable, LookupError, ValueError):
        what = "does not resolve within the schema"
    else:
        if isinstance(resolved.contents, dict | bool):
            return resolved
        what = "leads to something that is not a schema"
    raise ConfigurationError(
        f"the reference {reference!r:.200} {what}; nothing is fetched from a network or a file: "
        "put what it refers to into $defs"
    )


def _check(schema: Any, base: Any) -> None:
    try:
        # Patterns are left to `_prepare`, which explains more than "is not a regex".
        base.check_schema(schema, format_checker=FormatChecker(()))
    except SchemaError as error:
        raise ConfigurationError(
            f"the schema is invalid at {pointer(error.absolute_path) or 'its root'}: "
            f"{error.message:.200}"
        ) from None


def _leave_patterns_to_jsonschema(node: Node, bounded: bool) -> None:
    """`unevaluatedProperties` is jsonschema's own, and searches these patterns with `re`."""
    patterns = node.get("patternProperties")
    if patterns is None:
        return
    for pattern in patterns:
        if bounded and not is_plain(pattern):
            raise ConfigurationError(
                f"the pattern {pattern!r:.200} is too complex for patternProperties in a schema "
                "with unevaluatedProperties; start it with ^ and let no part match what the "
                "next one does"
            )
    node["patternProperties"] = Node((to_python(each), patterns[each]) for each in patterns)


def _texts(node: Node, keyword: str) -> list[str]:
    value = node.get(keyword)
    return [value] if isinstance(value, str) else []
