"""The gateway with the faster codec."""

from __future__ import annotations

from asgi_ws_gateway import GatewayMiddleware
from asgi_ws_gateway.codecs import MsgspecCodec
from benchmarks.apps.gateway import Gateway

__all__ = ["application"]

application = GatewayMiddleware(None, gateways=[Gateway()], codec=MsgspecCodec())
