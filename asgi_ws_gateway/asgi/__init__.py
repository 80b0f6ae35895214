"""The ASGI shell: scopes and messages on the outside, transports and requests on the inside."""
