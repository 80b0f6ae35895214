from gateway import ChatGateway
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_ws_gateway import GatewayMiddleware, WebSocketService

service = WebSocketService()
service.register(ChatGateway())


async def announce(request: Request) -> JSONResponse:
    report = await service.broadcast("/chat", "announced", await request.json())
    return JSONResponse({"listeners": report.queued})


app = Starlette(routes=[Route("/announce", announce, methods=["POST"])])
application = GatewayMiddleware(app, service)
