"""A backend in Python: an OTLP/gRPC server on grpcio that keeps every request as a protobuf message."""

import concurrent.futures
import threading

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Receiver:
    """Requests by signal: traces, metrics, logs. `refuse`, when set, is called with each gRPC context first."""

    def __init__(self):
        self.traces, self.metrics, self.logs = [], [], []
        self.metadata = []
        self.refuse = None
        self._lock = threading.Lock()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8),
                                   options=[("grpc.max_receive_message_length", 64 << 20)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(
            _Servicer(self, self.traces, trace_service_pb2.ExportTraceServiceResponse), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
            _Servicer(self, self.metrics, metrics_service_pb2.ExportMetricsServiceResponse), self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(
            _Servicer(self, self.logs, logs_service_pb2.ExportLogsServiceResponse), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def grpc(self):
        return f"127.0.0.1:{self.port}"

    def take(self, requests, request, context):
        if self.refuse is not None:
            self.refuse(context)
        with self._lock:
            self.metadata.append(dict(context.invocation_metadata()))
            requests.append(request)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.stop(grace=None).wait()


class _Servicer:
    def __init__(self, receiver, requests, response):
        self._receiver, self._requests, self._response = receiver, requests, response

    def Export(self, request, context):
        self._receiver.take(self._requests, request, context)
        return self._response()
