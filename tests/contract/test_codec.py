"""The codec of the standard library keeps the contract."""

from asgi_ws_gateway import JSONCodec
from asgi_ws_gateway.testing.contracts import CodecContract


class TestJSONCodec(CodecContract):
    def make(self) -> JSONCodec:
        return JSONCodec()


class TestJSONCodecWithADefault(CodecContract):
    def make(self) -> JSONCodec:
        def default(value: object) -> object:
            raise TypeError("nothing more is known")

        return JSONCodec(default=default)
