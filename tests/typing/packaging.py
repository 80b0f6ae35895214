"""Checked by mypy and pyright, never run: what an installed package promises to type checkers."""

from typing import assert_type

import asgi_ws_gateway

assert_type(asgi_ws_gateway.__version__, str)
