"""What is public, and what importing it takes: three dependencies, and no event loop or server."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import asgi_ws_gateway

ROOT = Path(asgi_ws_gateway.__file__).parents[1]
DEPENDENCIES = ("anyio", "asgiref", "jsonschema")

DECORATORS = {
    "broadcast",
    "broadcast_others",
    "emit",
    "emit_with",
    "fallback",
    "message",
    "namespace",
    "on_connect",
    "on_connection_attempt",
    "on_disconnect",
    "on_error",
}
ERRORS = {
    "AskRejected",
    "AskTimeout",
    "BackplaneError",
    "ConfigurationError",
    "ConnectionRejected",
    "EncodeError",
    "GatewayError",
    "LimitReached",
    "MessageRejected",
    "PeerClosed",
    "ServiceNotRunning",
    "UnknownNamespace",
    "ValidationFailed",
}
PUBLIC = {
    *DECORATORS,
    *ERRORS,
    "GatewayMiddleware",
    "WebSocketService",
    "Peer",
    "BlockingPeer",
    "ConnectionRequest",
    "Accept",
    "Limits",
    "Presence",
    "DeliveryReport",
    "ALL",
    "DEFAULT",
    "SKIP",
    "JSONCodec",
    # Protocols, and the values that whoever implements them needs.
    "EmitterStrategy",
    "Delivery",
    "Audience",
    "Validator",
    "Issue",
    "Codec",
    "Observer",
    # Resolved when they are asked for.
    "MsgspecCodec",
    "MessagePackCodec",
}


def test_the_public_names_are_these() -> None:
    assert set(asgi_ws_gateway.__all__) == PUBLIC
    assert len(asgi_ws_gateway.__all__) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(asgi_ws_gateway, name) is not None


def run(code: str) -> str:
    """What code prints in an interpreter of its own."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def needed() -> set[str]:
    """The distributions that an installation without extras brings."""
    found: set[str] = set()
    pending = list(DEPENDENCIES)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # for another platform or interpreter
        for text in requirements:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return found


def test_every_module_imports_with_the_three_dependencies_alone() -> None:
    known = needed()
    assert known >= set(DEPENDENCIES)
    blocked = {
        module
        for module, owners in packages_distributions().items()
        if not known & {owner.lower().replace("_", "-") for owner in owners}
        and module != "asgi_ws_gateway"
    }
    assert {"trio", "pytest"} <= blocked
    code = f"""
import importlib, pkgutil, sys
blocked = {sorted(blocked)!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError("blocked: " + name, name=name)
sys.meta_path.insert(0, Blocker())
import asgi_ws_gateway
for module in pkgutil.walk_packages(asgi_ws_gateway.__path__, "asgi_ws_gateway."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in asgi_ws_gateway.__all__:
    getattr(asgi_ws_gateway, name)
print(*sys.modules)
"""
    loaded = set(run(code).split())
    assert {"asgi_ws_gateway.service", "asgi_ws_gateway.testing"} <= loaded
    assert not {"trio", "pytest"} & loaded


def test_importing_the_package_imports_no_other_loop_no_server_and_no_framework() -> None:
    loaded = set(run("import asgi_ws_gateway, sys; print(*sys.modules)").split())
    assert "asgi_ws_gateway.service" in loaded
    unwanted = {
        "trio",
        "uvloop",
        "uvicorn",
        "hypercorn",
        "daphne",
        "granian",
        "websockets",
        "wsproto",
        "django",
        "starlette",
        "fastapi",
        "litestar",
        "quart",
        "pydantic",
        "msgspec",
        "msgpack",
        "asgi_ws_gateway.testing",
        "asgi_ws_gateway.demo",
    }
    assert loaded & unwanted == set()
