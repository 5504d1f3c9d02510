"""Hostile and broken clients: each gets its proper answer, the agent's memory stays within its bounds, and other clients
are served all the while."""

import contextlib
import gzip
import http.client
import json
import random
import socket
import struct
import sys
import zlib

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

import everything
import ledger
from programs import Agent, Load, Sink, wait_until

MEMORY_MIB = 32
OVERHEAD_MIB = 24
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An agent that serves a well-behaved client during all the tests. At the end that client must have been answered OK
    every time, everything it sent must have arrived, and the agent must have stayed small."""
    directory = tmp_path_factory.mktemp("bad_input")
    with Sink(directory) as sink, Agent(directory, sink.grpc, memory={"limit": f"{MEMORY_MIB}MiB"}) as agent:
        with ledger.Watch(agent), Load(agent.grpc, rate=2000, items_per_request=20, duration=0) as load:
            yield agent
            assert load.running()
            load.interrupt()
            result = load.result()
        assert not result["refused"] and not result["lost"], result
        # What was on its way when the load was interrupted may have arrived without its answer.
        wait_until(lambda: sink.run(result["run"])["unique"] >= result["items_ok"] > 0, "everything has arrived")


@pytest.fixture(autouse=True)
def bounded(served):
    yield
    assert served.rss_mib() < MEMORY_MIB + OVERHEAD_MIB


def valid_request():
    return everything.requests()[0].SerializeToString()


def post(agent, path, body, headers):
    connection = http.client.HTTPConnection("127.0.0.1", agent.http_port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def call(agent, message, metadata=(), compression=None, method=METHOD):
    """The status of a unary call with `message` as it is."""
    with grpc.insecure_channel(agent.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        try:
            channel.unary_unary(method)(message, metadata=metadata, compression=compression, timeout=20)
            return grpc.StatusCode.OK, None
        except grpc.RpcError as error:
            return error.code(), error


def assert_bad_request(status):
    violations = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(violations)
    assert violations.field_violations[0].description


# --- Malformed OTLP ---

def damaged():
    """Requests that libprotobuf refuses too: cut off, or with flipped bits."""
    whole = valid_request()
    random.seed(1)
    found = []
    while len(found) < 200:
        body = bytearray(whole)
        if len(found) % 2:
            del body[random.randrange(len(body)):]
        else:
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
        try:
            ExportTraceServiceRequest.FromString(bytes(body))
        except Exception:
            found.append(bytes(body))
    return found


def test_malformed_requests_are_refused_for_good_over_grpc(served):
    for body in damaged():
        code, error = call(served, body)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, body
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert_bad_request(status_pb2.Status.FromString(details))


def test_malformed_requests_are_refused_for_good_over_http(served):
    for body in damaged():
        status, headers, answer = post(served, "/v1/traces", body, {"content-type": PROTOBUF})
        assert status == 400 and headers["content-type"] == PROTOBUF
    assert_bad_request(status_pb2.Status.FromString(answer))


def test_malformed_json_is_refused_in_json(served):
    for body in [b"", b"{", b"[]", b"null", b'{"resourceSpans": 7}', b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}',
                 b'{"resourceSpans": [' + b"[" * 100_000]:
        status, headers, answer = post(served, "/v1/traces", body, {"content-type": "application/json"})
        assert status == 400 and headers["content-type"] == "application/json", body[:80]
        assert json.loads(answer)["message"]


def nested_value(depth):
    """A span attribute whose value is an array in an array in an array."""
    def field(number, content):
        size, varint = len(content), b""
        while size >= 0x80:
            varint += bytes([size & 0x7F | 0x80])
            size >>= 7
        return bytes([number << 3 | 2]) + varint + bytes([size]) + content
    value = b""
    for _ in range(depth):
        value = field(5, field(1, value))  # AnyValue.array_value, ArrayValue.values
    for number in (2, 9, 2, 2, 1):  # KeyValue.value, Span.attributes, spans, scope_spans, resource_spans
        value = field(number, value)
    return value


def test_deep_nesting_is_refused_and_shallow_is_taken(served):
    assert call(served, nested_value(10))[0] is grpc.StatusCode.OK
    assert call(served, nested_value(500))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert call(served, nested_value(20_000))[0] is grpc.StatusCode.INVALID_ARGUMENT


# --- Too much ---

def test_a_request_larger_than_the_limit_is_refused(served):
    assert call(served, bytes(65 << 20))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    with connect(served.http_port) as peer:  # on what it announces, before it is sent
        peer.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
                     b"content-length: %d\r\n\r\n" % (65 << 20))
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("encoding, bomb", [
    ("gzip", gzip.compress(bytes(8 << 20)) * 25),
    ("gzip", gzip.compress(gzip.compress(bytes(8 << 20)) * 50)),
    ("deflate", zlib.compress(bytes(80 << 20))),
    # zstd: a frame without a content size, then blocks of 128 KiB that each repeat one byte.
    ("zstd", b"\x28\xb5\x2f\xfd\x00\x68" + b"".join(struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"\x00" for _ in range(1600)) +
     struct.pack("<I", 1)[:3]),
])
def test_a_compressed_bomb_does_not_go_off(served, encoding, bomb):
    assert len(bomb) < 1 << 20
    status, _, _ = post(served, "/v1/traces", bomb, {"content-type": PROTOBUF, "content-encoding": encoding})
    # Too large; or, when that much would not fit just now, later; or no OTLP once the outer layer is off.
    assert status in (413, 503, 400)


def test_damaged_compression_is_refused(served):
    whole = gzip.compress(valid_request())
    for body in (whole[:-9], whole[:20], b"not gzip", b"", whole + b"more"):
        status, _, _ = post(served, "/v1/traces", body, {"content-type": PROTOBUF, "content-encoding": "gzip"})
        assert status == 400, body[:20]


# --- The wrong door ---

def test_unknown_encodings_types_paths_and_methods_are_refused(served):
    body = valid_request()
    assert post(served, "/v1/traces", body, {"content-type": PROTOBUF, "content-encoding": "br"})[0] == 415
    assert post(served, "/v1/traces", body, {"content-type": "text/plain"})[0] == 415
    assert post(served, "/v1/traces", body, {})[0] == 415
    assert post(served, "/v1/nonsense", body, {"content-type": PROTOBUF})[0] == 404
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.http_port, timeout=20)) as connection:
        connection.request("GET", "/v1/traces")
        response = connection.getresponse()
        assert response.status == 405 and response.headers["allow"] == "POST"
    assert call(served, body, method="/opentelemetry.proto.collector.trace.v1.TraceService/Import")[0] is \
        grpc.StatusCode.UNIMPLEMENTED
    assert call(served, body, method="/no.such.Service/Export")[0] is grpc.StatusCode.UNIMPLEMENTED


# --- Sockets ---

def connect(port):
    return contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=20))


def test_half_sent_requests_hold_nobody_up(served):
    with contextlib.ExitStack() as stack:
        for i in range(200):
            half = stack.enter_context(connect(served.http_port))
            half.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
                         b"content-length: 1000000\r\n\r\n" + bytes(i))
        status, _, _ = post(served, "/v1/traces", valid_request(), {"content-type": PROTOBUF})
        assert status == 200


def test_announcing_more_than_there_is_memory_for_takes_none(served):
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            announced = stack.enter_context(connect(served.http_port))
            announced.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
                              b"content-length: 60000000\r\n\r\n")
        assert served.rss_mib() < MEMORY_MIB + OVERHEAD_MIB
        assert call(served, valid_request())[0] is grpc.StatusCode.OK


@pytest.mark.parametrize("noise", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS to a plain port
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
    b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x08\x00\x00\x00\x00\x00\x05" + bytes(8),
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/traces HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 100_000,
    bytes(range(256)) * 20,
], ids=["tls", "frames of ones", "bad preface", "window update of zero", "http 9.9", "negative length", "two lengths",
        "endless header", "noise"])
def test_what_is_not_http_is_hung_up_on(served, noise):
    for port in (served.grpc_port, served.http_port):
        with connect(port) as peer:
            with contextlib.suppress(ConnectionError):
                peer.sendall(noise)
                while peer.recv(65536):  # an answer is allowed, waiting for more is not
                    pass


def test_random_bytes_are_survived(served):
    random.seed(2)
    for i in range(200):
        with connect(served.grpc_port if i % 2 else served.http_port) as peer:
            with contextlib.suppress(ConnectionError):
                if i % 4 >= 2:
                    peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                peer.sendall(random.randbytes(random.randrange(1, 3000)))
    assert call(served, valid_request())[0] is grpc.StatusCode.OK


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
