"""What applications send to the agent arrives behind the gateway, every field of it; the agent's attributes are added to
Resources, and nothing else changes. Meanwhile both ledgers close at every scrape."""

import json
import sys
import urllib.request

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

import chain as chains
import everything
import otlp
import python_sdk
from chain import SIGNALS


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    with chains.running(tmp_path_factory.mktemp("chain")) as chain:
        yield chain


# --- The OpenTelemetry SDK ---

@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_python_sdk_over_grpc(chain, compression):
    sent = python_sdk.send_everything_by_grpc(chain.agent.grpc, compression)
    chain.assert_arrives(vars(sent))


@pytest.mark.parametrize("compression", [HttpCompression.NoCompression, HttpCompression.Gzip, HttpCompression.Deflate])
def test_the_python_sdk_over_http(chain, compression):
    sent = python_sdk.send_everything_by_http(chain.agent.http, compression)
    chain.assert_arrives(vars(sent))


# --- Every field of the schema ---

def test_every_field_over_grpc(chain):
    sent = everything.requests()
    with grpc.insecure_channel(chain.agent.grpc) as channel:
        for stub, request in zip([TraceServiceStub, MetricsServiceStub, LogsServiceStub], sent):
            response = stub(channel).Export(request)
            assert not response.HasField("partial_success")
    chain.assert_arrives({signal: [request] for signal, request in zip(SIGNALS, sent)})


def post(url, body, content_type):
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": content_type})) as response:
        assert response.status == 200
        assert response.headers["content-type"] == content_type
        return response.read()


def test_every_field_over_http(chain):
    sent = everything.requests()
    for signal, request in zip(SIGNALS, sent):
        assert post(f"{chain.agent.http}/v1/{signal}", request.SerializeToString(), "application/x-protobuf") == b""
    chain.assert_arrives({signal: [request] for signal, request in zip(SIGNALS, sent)})


# Fields that have a meaning only in profiles, as the schema says. In protobuf they pass as any unknown field does; in JSON
# unknown fields are ignored.
OF_PROFILES = {"key_strindex", "string_value_strindex"}


def test_every_field_over_json(chain):
    sent = everything.requests(left_out=OF_PROFILES)
    for signal, request in zip(SIGNALS, sent):
        body = json.dumps(otlp.to_json(request)).encode()
        assert json.loads(post(f"{chain.agent.http}/v1/{signal}", body, "application/json")) == {}
    chain.assert_arrives({signal: [request] for signal, request in zip(SIGNALS, sent)})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
