"""Programs in other languages, which tell what they do in lines of JSON: senders, instrumented with that language's
OpenTelemetry SDK, and backends, on that language's gRPC server. And what every backend must see of our client."""

import base64
import collections
import json
import shutil
import subprocess
import sys
import threading

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

import everything
import ledger
import otlp
from chain import ENRICHMENT, SIGNALS
from programs import Agent, wait_until

SKIPPED = 77
INSTALL_SECONDS = 400
REQUESTS = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest}


def main(file, why_not):
    """Runs the tests of `file`, or says why that is impossible, to ctest too."""
    if reason := why_not():
        print(f"SKIPPED: {reason}")
        sys.exit(SKIPPED)
    sys.exit(pytest.main([file, "-v", "-p", "no:cacheprovider"]))


def missing(*tools):
    """Says which of the tools is not installed."""
    return next((f"{tool} is not installed" for tool in tools if shutil.which(tool) is None), None)


def install_once(directory, definition, command):
    """Runs `command` in `directory`, unless it succeeded before for this very content of the file `definition`. Says why
    when it fails: most often there is no network."""
    complete = directory / "complete"  # written last
    if complete.exists() and complete.read_bytes() == definition.read_bytes():
        return None
    complete.unlink(missing_ok=True)
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not fetch its packages within {INSTALL_SECONDS} s"
    except subprocess.CalledProcessError as error:
        return f"{command[0]} could not fetch its packages: {(error.stderr + error.stdout).strip().splitlines()[:1]}"
    shutil.copy(definition, complete)
    return None


def send(command, protocol, endpoint):
    """Runs a sender; the requests its SDK made, by signal."""
    done = subprocess.run([*command, protocol, endpoint], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sent = {signal: [] for signal in SIGNALS}
    for line in done.stdout.splitlines():
        told = json.loads(line)
        sent[told["signal"]].append(_request(told))
    assert all(sent.values()), done.stderr
    return sent


def _request(told):
    return REQUESTS[told["signal"]].FromString(base64.b64decode(told["request"]))


class Backend:
    """A running backend. What it told so far: requests by signal, connections (the peers' addresses), refused."""

    def __init__(self, directory, command, refusals=0, max_age_ms=0):
        self.requests = collections.defaultdict(list)
        self.connections = set()
        self.refused, self.taken = [], []  # what was told about each
        self._ports = []
        self._log = directory / "backend.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen([*command, str(refusals), str(max_age_ms)], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, stderr=log, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._await_listening(1)

    @property
    def grpc(self):
        return f"127.0.0.1:{self._ports[0]}"

    def restart(self):
        starts = len(self._ports)
        print(file=self._process.stdin, flush=True)
        self._await_listening(starts + 1)

    def _await_listening(self, times):
        wait_until(lambda: len(self._ports) >= times or not self._reader.is_alive(), "the backend listens")
        assert len(self._ports) == times, self._log.read_text()

    def _read(self):
        for line in self._process.stdout:
            told = json.loads(line)
            if "listening" in told:
                self._ports.append(told["listening"])
            elif "refused" in told:
                self.refused.append(told)
            else:
                self.connections.add(told["peer"])
                self.taken.append(told)
                self.requests[told["signal"]].append(_request(told))

    def __enter__(self):
        return self

    def __exit__(self, exception_type, *_):
        if exception_type is not None:
            self._process.kill()
        self._process.stdin.close()
        code = self._process.wait(timeout=30)
        self._reader.join()
        assert exception_type is not None or code == 0, self._log.read_text()


def _agent(directory, backend, **upstream):
    return Agent(directory, backend.grpc, resource={"detect": False, "attributes": ENRICHMENT}, **upstream)


def _arrives(backend, signal, sent):
    """Every item once, and nothing changed."""
    expected, arrived = otlp.items(sent), backend.requests[signal]
    wait_until(lambda: otlp.count(arrived) >= len(expected), f"{len(expected)} items of {signal}")
    otlp.assert_same(expected, otlp.items(arrived, ENRICHMENT))


class _SteadySender:
    """Sends traces of one span to the agent, one after the other, until the block ends. All are kept in `sent`."""

    def __init__(self, agent):
        self.sent = []
        self._ending = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(agent.grpc,))

    def _run(self, endpoint):
        try:
            with grpc.insecure_channel(endpoint) as channel:
                export = TraceServiceStub(channel).Export
                while not self._ending.is_set():
                    request = ExportTraceServiceRequest()
                    span = request.resource_spans.add().scope_spans.add().spans.add()
                    span.name = f"span {len(self.sent)}"
                    span.trace_id, span.span_id = b"t" * 16, len(self.sent).to_bytes(8)
                    export(request)
                    self.sent.append(request)
        except grpc.RpcError as error:
            self._failure = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()
        assert self._failure is None, self._failure


# Small requests, so that many are under way whatever happens.
SMALL_BATCHES = {"batch": {"items": 5, "flush": "10ms"}}


class BackendCases:
    """For a class of tests per language, whose module has a fixture `receive`, the command of its backend."""

    def test_every_field_arrives(self, receive, tmp_path):
        sent = everything.requests()
        with Backend(tmp_path, receive) as backend, _agent(tmp_path, backend) as agent, ledger.Watch(agent):
            with grpc.insecure_channel(agent.grpc) as channel:
                for stub, request in zip([TraceServiceStub, MetricsServiceStub, LogsServiceStub], sent):
                    stub(channel).Export(request)
            for signal, request in zip(SIGNALS, sent):
                _arrives(backend, signal, [request])

    def test_the_delay_it_asks_for_is_kept(self, receive, tmp_path):
        request = everything.requests()[0]
        impatient = {"retry": {"initial": "1ms", "max": "10ms"}}  # left to itself
        with (Backend(tmp_path, receive, refusals=2) as backend, _agent(tmp_path, backend, **impatient) as agent,
              ledger.Watch(agent)):
            with grpc.insecure_channel(agent.grpc) as channel:
                TraceServiceStub(channel).Export(request)
            _arrives(backend, "traces", [request])
            times = [told["ms"] for told in backend.refused + backend.taken]
            assert len(times) == 3
            assert all(later - earlier >= 300 for earlier, later in zip(times, times[1:])), times

    def test_connections_that_reach_their_age_lose_and_double_nothing(self, receive, tmp_path):
        with (Backend(tmp_path, receive, max_age_ms=300) as backend, _agent(tmp_path, backend, **SMALL_BATCHES) as agent,
              ledger.Watch(agent)):
            with _SteadySender(agent) as sender:
                wait_until(lambda: len(backend.connections) >= 4, "four connections")
            _arrives(backend, "traces", sender.sent)

    def test_restarts_lose_and_double_nothing(self, receive, tmp_path):
        with (Backend(tmp_path, receive) as backend, _agent(tmp_path, backend, **SMALL_BATCHES) as agent,
              ledger.Watch(agent)):
            with _SteadySender(agent) as sender:
                for _ in range(3):
                    before = len(backend.taken)
                    wait_until(lambda: len(backend.taken) > before + 10, "ten more requests")
                    backend.restart()
            _arrives(backend, "traces", sender.sent)
            assert len(backend.connections) >= 3
