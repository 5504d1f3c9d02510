"""gRPC by hand, for what a gRPC library would never send: bodies cut short, lengths that lie, encodings made up."""

import socket
import struct

import h2.config
import h2.connection
import h2.events


def message(body, compressed=False, length=None):
    """A body in gRPC's frame: a flag, a length (that may lie), the bytes."""
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


class RawGrpc:
    """One HTTP/2 connection. Bodies must be smaller than a flow-control window, 64 KiB."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http2.initiate_connection()
        self._flush()

    def send(self, body, end=True, path="/opentelemetry.proto.collector.trace.v1.TraceService/Export", **headers):
        """The stream it went out on. `end=False` leaves the request unfinished."""
        stream = self._http2.get_next_available_stream_id()
        self._http2.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
                                          ("content-type", "application/grpc"), ("te", "trailers"),
                                          *((name.replace("_", "-"), value) for name, value in headers.items())])
        for at in range(0, len(body), 16384):
            self._http2.send_data(stream, body[at:at + 16384])
        if end:
            self._http2.end_stream(stream)
        self._flush()
        return stream

    def answer(self, stream):
        """Headers and trailers as one dictionary."""
        fields = {}
        while True:
            data = self._socket.recv(65536)
            assert data, "hung up without an answer"
            for event in self._http2.receive_data(data):
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    fields.update(event.headers)
                if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    return fields
            self._flush()

    def _flush(self):
        self._socket.sendall(self._http2.data_to_send())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
