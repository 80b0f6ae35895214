"""Connections at work: anyio, and never an ASGI dictionary."""
