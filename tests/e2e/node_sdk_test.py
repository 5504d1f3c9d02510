"""What the OpenTelemetry JavaScript SDK sends arrives behind the gateway, whichever of its exporters is used.

Needs node and npm, and the packages of node/package-lock.json, which npm installs under build/ the first time; skipped,
saying so, without them."""

import base64
import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import chain as chains

SOURCE = pathlib.Path(__file__).parent / "node"
INSTALLED = pathlib.Path(__file__).parents[2] / "build/e2e-node"
INSTALL_SECONDS = 400
SKIPPED = 77

REQUESTS = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest}


def why_not():
    """Installs what is missing; the reason when that is impossible."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock = INSTALLED / "package-lock.json"
    complete = INSTALLED / "complete"  # written last
    if not complete.exists() or lock.read_bytes() != (SOURCE / "package-lock.json").read_bytes():
        complete.unlink(missing_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / file, INSTALLED)
        try:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"], cwd=INSTALLED,
                           check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            return f"npm did not install its packages within {INSTALL_SECONDS} s"
        except subprocess.CalledProcessError as error:
            return f"npm could not install its packages: {error.stderr.strip().splitlines()[-1:]}"
        complete.touch()
    shutil.copy(SOURCE / "send.mjs", INSTALLED)  # imports are looked up from where a module is
    return None


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    if reason := why_not():
        pytest.skip(reason)
    with chains.running(tmp_path_factory.mktemp("node")) as chain:
        yield chain


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_the_javascript_sdk(chain, protocol):
    endpoint = chain.agent.grpc if protocol == "grpc" else chain.agent.http
    done = subprocess.run(["node", INSTALLED / "send.mjs", protocol, endpoint], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sent = {signal: [] for signal in REQUESTS}
    for line in done.stdout.splitlines():
        told = json.loads(line)
        sent[told["signal"]].append(REQUESTS[told["signal"]].FromString(base64.b64decode(told["request"])))
    assert all(sent.values()), done.stderr
    chain.assert_arrives(sent)


if __name__ == "__main__":
    if reason := why_not():
        print(f"SKIPPED: {reason}")
        sys.exit(SKIPPED)
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
