"""An observer that overrides nothing keeps the contract."""

from asgi_ws_gateway import Observer
from asgi_ws_gateway.testing.contracts import ObserverContract


class Silent(Observer):
    pass


class TestObserver(ObserverContract):
    def make(self) -> Observer:
        return Silent()
