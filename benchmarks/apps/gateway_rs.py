"""The gateway with the faster validator."""

from __future__ import annotations

from asgi_ws_gateway import GatewayMiddleware
from benchmarks.apps.gateway import Gateway

__all__ = ["application"]

application = GatewayMiddleware(None, gateways=[Gateway()], schema_engine="jsonschema-rs")
