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
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

import everything
import ledger
import otlp
from programs import Agent, Load, Sink, wait_until
from raw_grpc import RawGrpc, message

MEMORY_MIB = 32
OVERHEAD_MIB = 24
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
# The largest request that an agent of so much memory takes: three quarters of the third that is for receiving.
REQUEST_BYTES_MAX = (MEMORY_MIB << 20) // 4


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An agent that serves a well-behaved client during all the tests. At the end that client must have been answered OK
    every time, everything it sent must have arrived, and the agent must never have been large."""
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
    assert served.rss_mib_max() < MEMORY_MIB + OVERHEAD_MIB


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

def damaged(whole, parse, refusals):
    """What `parse` refuses too: `whole` cut off, or with a flipped bit."""
    random.seed(1)
    found = []
    while len(found) < 200:
        body = bytearray(whole)
        if len(found) % 2:
            del body[random.randrange(len(body)):]
        else:
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
        try:
            parse(bytes(body))
        except refusals:
            found.append(bytes(body))
    return found


def damaged_protobuf():
    return damaged(valid_request(), ExportTraceServiceRequest.FromString, DecodeError)


def damaged_json():
    whole = json.dumps(otlp.to_json(everything.requests()[0])).encode()
    return damaged(whole, lambda body: json.loads(body.decode()), ValueError)


def test_malformed_requests_are_refused_for_good_over_grpc(served):
    for body in damaged_protobuf():
        code, error = call(served, body)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, body
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert_bad_request(status_pb2.Status.FromString(details))


def test_malformed_requests_are_refused_for_good_over_http(served):
    for body in damaged_protobuf():
        status, headers, answer = post(served, "/v1/traces", body, {"content-type": PROTOBUF})
        assert status == 400 and headers["content-type"] == PROTOBUF
    assert_bad_request(status_pb2.Status.FromString(answer))


def test_malformed_json_is_refused_in_json(served):
    wrong = [b"", b"{", b"[]", b"null", b'{"resourceSpans": 7}', b"\xff\xfe{\x00}\x00",
             b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}']
    for body in wrong + damaged_json():
        status, headers, answer = post(served, "/v1/traces", body, {"content-type": JSON})
        assert status == 400 and headers["content-type"] == JSON, body[:80]
        assert json.loads(answer)["message"]


def test_compressed_requests_are_refused_for_what_is_in_them(served):
    for content_type, bodies in ((PROTOBUF, damaged_protobuf()), (JSON, damaged_json())):
        for body in bodies[:20]:
            status, headers, _ = post(served, "/v1/traces", gzip.compress(body),
                                      {"content-type": content_type, "content-encoding": "gzip"})
            assert status == 400 and headers["content-type"] == content_type
    for body in damaged_protobuf()[:20]:
        assert call(served, body, compression=grpc.Compression.Gzip)[0] is grpc.StatusCode.INVALID_ARGUMENT


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


def nested_json(depth, begin, end):
    """The same in JSON, of `begin` and `end`."""
    return (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":' + begin * depth + b"{}" +
            end * depth + b"}]}]}]}]}")


def test_deep_nesting_is_refused_and_shallow_is_taken(served):
    for depth, code, status in [(10, grpc.StatusCode.OK, 200), (500, grpc.StatusCode.INVALID_ARGUMENT, 400),
                                (20_000, grpc.StatusCode.INVALID_ARGUMENT, 400)]:
        assert call(served, nested_value(depth))[0] is code
        assert post(served, "/v1/traces", nested_value(depth), {"content-type": PROTOBUF})[0] == status
        for begin, end in [(b'{"arrayValue":{"values":[', b"]}}"), (b'{"unknown":[', b"]}")]:
            assert post(served, "/v1/traces", nested_json(depth, begin, end), {"content-type": JSON})[0] == status
    assert post(served, "/v1/traces", b'{"resourceSpans": [' + b"[" * 1_000_000, {"content-type": JSON})[0] == 400


# --- Too much ---

def test_a_request_larger_than_the_limit_is_refused(served):
    assert call(served, bytes(65 << 20))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    for content_type in (PROTOBUF, JSON):
        with connect(served.http_port) as peer:  # on what it announces, before it is sent
            peer.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" %
                         (content_type.encode(), REQUEST_BYTES_MAX + 1000))
            assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")
        with connect(served.http_port) as peer:  # unannounced, once it is there
            peer.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n" %
                         content_type.encode())
            with contextlib.suppress(ConnectionError):
                for _ in range(65):
                    peer.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")
    with RawGrpc(served.grpc_port) as peer:
        assert peer.answer(peer.send(message(b"", length=0xFFFFFFFF), end=False))["grpc-status"] == "8"


GZIP_BOMB = gzip.compress(bytes(8 << 20)) * 25
DEFLATE_BOMB = zlib.compress(bytes(80 << 20))
# A frame without a content size, then blocks of 128 KiB that each repeat one byte: 200 MiB from 6 KiB.
ZSTD_BOMB = (b"\x28\xb5\x2f\xfd\x00\x68" +
             b"".join(struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"\x00" for _ in range(1600)) +
             struct.pack("<I", 1)[:3])


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("encoding, bomb, status", [
    ("gzip", GZIP_BOMB, 413),
    ("gzip", gzip.compress(gzip.compress(bytes(8 << 20)) * 50), 400),  # the outer layer is small, and in it is no OTLP
    ("deflate", DEFLATE_BOMB, 413),
    ("zstd", ZSTD_BOMB, 413),
])
def test_a_compressed_bomb_does_not_go_off_over_http(served, encoding, bomb, status, content_type):
    assert len(bomb) < 1 << 20
    headers = {"content-type": content_type, "content-encoding": encoding}
    assert post(served, "/v1/traces", bomb, headers)[0] == status


@pytest.mark.parametrize("encoding, bomb", [("gzip", gzip.compress(bytes(60 << 20))), ("zstd", ZSTD_BOMB)])
def test_a_compressed_bomb_does_not_go_off_over_grpc(served, encoding, bomb):
    with RawGrpc(served.grpc_port) as peer:
        stream = peer.send(message(bomb, compressed=True), grpc_encoding=encoding)
        assert peer.answer(stream)["grpc-status"] == "8"  # RESOURCE_EXHAUSTED


# As large as JSON may be: reading it takes eleven times as much, which must fit in the two thirds that are the Log's.
JSON_BYTES_MAX = (MEMORY_MIB << 20) * 2 // 3 * 15 // 16 // 11


@pytest.mark.parametrize("begin, unit, end, status", [
    (b"", b"[", b"", 400),
    (b"{", b",", b"}", 400),
    (b'{"resourceSpans":[{}', b",{}", b"]}", 200),
    (b'{"unknown":[[]', b",[]", b"]}", 200),
    (b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"explicitBounds":[0', b",0",
     b"]}]}}]}]}]}", 413),
    (b'{"resourceSpans":[{"schemaUrl":"', b"\\u20ac", b'"}]}', 200),
], ids=["brackets", "commas", "empty messages", "unknown lists", "numbers", "escapes"])
def test_json_that_multiplies_stays_bounded(served, begin, unit, end, status):
    path = "/v1/metrics" if b"Metrics" in begin else "/v1/traces"
    body = begin + unit * ((JSON_BYTES_MAX - len(begin) - len(end)) // len(unit)) + end
    for encoding, sent in (("identity", body), ("deflate", zlib.compress(body))):
        if len(body) > 90 * len(sent):
            continue  # that is a bomb
        headers = {"content-type": JSON, "content-encoding": encoding}

        def answered():  # while the well-behaved client's backlog fills the memory, even this is told to come again
            answer = post(served, path, sent, headers)[0]
            return answer != 503 and answer

        assert wait_until(answered, "an answer that is final", timeout=60) == status
    assert post(served, path, body + b" " * 200, {"content-type": JSON})[0] == 413


def test_damaged_compression_is_refused(served):
    whole = gzip.compress(valid_request())
    for body in (whole[:-9], whole[:20], b"not gzip", b"", whole + b"more"):
        for content_type in (PROTOBUF, JSON):
            assert post(served, "/v1/traces", body, {"content-type": content_type, "content-encoding": "gzip"})[0] == 400
        with RawGrpc(served.grpc_port) as peer:
            answer = peer.answer(peer.send(message(body, compressed=True), grpc_encoding="gzip"))
            assert answer["grpc-status"] == "3"  # INVALID_ARGUMENT


def test_a_grpc_frame_that_lies_is_refused(served):
    body = valid_request()
    with RawGrpc(served.grpc_port) as peer:
        for lie in (message(body, length=len(body) + 1), message(body, length=len(body) - 1), message(body) + b"more",
                    message(body)[:3], b"", message(body) * 2, b"\x02" + message(body)[1:]):
            answer = peer.answer(peer.send(lie))
            assert answer["grpc-status"] in ("3", "12", "13"), (lie[:5], answer)
        assert peer.answer(peer.send(message(body)))["grpc-status"] == "0"


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
    with RawGrpc(served.grpc_port) as peer:
        answer = peer.answer(peer.send(message(body, compressed=True), grpc_encoding="snappy"))
        assert answer["grpc-status"] == "12" and "zstd" in answer["grpc-accept-encoding"]


# --- Sockets ---

def connect(port):
    return contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=20))


def test_half_sent_requests_hold_nobody_up(served):
    with contextlib.ExitStack() as stack:
        for i in range(150):
            half = stack.enter_context(connect(served.http_port))
            half.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
                         b"content-length: 1000000\r\n\r\n" + bytes(i))
        peer = stack.enter_context(RawGrpc(served.grpc_port))
        for i in range(50):
            peer.send(message(bytes(i), length=1_000_000), end=False)
        status, _, _ = post(served, "/v1/traces", valid_request(), {"content-type": PROTOBUF})
        assert status == 200
        assert peer.answer(peer.send(message(valid_request())))["grpc-status"] == "0"


def test_more_half_sent_requests_than_there_is_memory_for_shut_nobody_out(tmp_path):
    with (Sink(tmp_path) as sink, Agent(tmp_path, sink.grpc, memory={"limit": f"{MEMORY_MIB}MiB"}) as agent,
          ledger.Watch(agent), contextlib.ExitStack() as stack):
        for i in range(800):
            half = stack.enter_context(connect(agent.http_port if i % 2 else agent.grpc_port))
            half.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
                         b"content-length: 1000000\r\n\r\n" + bytes(i))
        # Until the first of those have been quiet for a second, there may be no room.
        wait_until(lambda: post(agent, "/v1/traces", valid_request(), {"content-type": PROTOBUF})[0] == 200, "HTTP is served")
        wait_until(lambda: call(agent, valid_request())[0] is grpc.StatusCode.OK, "gRPC is served")
        ended = ledger.parse(agent.metrics_text())["tributary_server_ended_total"]
        assert ended[("reason", "stalled"), ("server", "otlp")] > 0
        assert agent.rss_mib_max() < MEMORY_MIB + OVERHEAD_MIB


def test_announcing_more_than_there_is_memory_for_takes_none(served):
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            announced = stack.enter_context(connect(served.http_port))
            announced.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
                              b"content-length: %d\r\n\r\n" % REQUEST_BYTES_MAX)
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
