"""`python -m asgi_ws_gateway.demo --port 8000` serves the demo with uvicorn."""

from __future__ import annotations

import argparse
import socket
import sys

try:
    import uvicorn
except ImportError:
    sys.exit("The demo is served by uvicorn: pip install 'uvicorn[standard]'")

from .app import application

__all__ = ["main"]


class Server(uvicorn.Server):
    """uvicorn, with one friendly line once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            host = self.config.host
            port = self.servers[0].sockets[0].getsockname()[1]
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            print(f"Open {address} in two browser windows. Ctrl+C ends it.", flush=True)


def main() -> None:
    """Serves the demo until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m asgi_ws_gateway.demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, help="the port (%(default)s); 0 for any that is free"
    )
    arguments = parser.parse_args()
    config = uvicorn.Config(
        application,
        host=arguments.host,
        port=arguments.port,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    raise SystemExit(0 if server.started else 1)


if __name__ == "__main__":
    main()
