"""Who sent it: what the kernel says of a sender goes before what its payload claims. Real cgroups; skipped where there are
none to be made."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from programs import Agent, wait_until
from receiver import Receiver

CONTAINER, POD = "c0ffee" + 58 * "0", "7f0c0a4e-91f2-4b2e-8f0a-3c1d2e4f5a6b"

# Joins a cgroup if it is given one, then sends a span that claims to be of another pod.
CLIENT = """
import json, os, pathlib, sys, urllib.request
url, cgroup = sys.argv[1:]
if cgroup:
    (pathlib.Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
claims = {"service.name": "shop", "k8s.pod.uid": "somebody-elses", "container.id": "another"}
span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "pay", "kind": 1,
        "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
resource = {"attributes": [{"key": k, "value": {"stringValue": v}} for k, v in claims.items()]}
body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
request = urllib.request.Request(url + "/v1/traces", json.dumps(body).encode(), {"content-type": "application/json"})
urllib.request.urlopen(request).read()
print(os.getpid())
"""


@pytest.fixture
def pod_cgroup():
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    mount = next((pathlib.Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
    if mount is None:
        pytest.skip("no cgroup2 here")
    top = mount / f"tributary-test-{os.getpid()}"
    nested = [top, top / f"pod{POD}", top / f"pod{POD}" / CONTAINER]
    try:
        for directory in nested:
            directory.mkdir()
        (nested[-1] / "cgroup.procs").write_text("")
    except OSError as error:
        pytest.skip(f"no cgroups to be made here: {error}")
    try:
        yield nested[-1]
    finally:
        for directory in reversed(nested):
            wait_until(lambda: _removed(directory), f"{directory} is empty")


POD_MANIFEST = {"kind": "PodList", "items": [{
    "metadata": {"uid": POD, "name": "shop-7", "namespace": "market"},
    "spec": {"containers": [{"name": "till", "image": "registry.example/till:1.2"}]},
    "status": {"containerStatuses": [{"name": "till", "containerID": f"containerd://{CONTAINER}"}]}}]}

# The SDK as an application has it: it is told no endpoint.
SDK_CLIENT = """
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
provider = TracerProvider(resource=Resource({"service.name": "shop", "k8s.pod.name": "somebody-else"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(insecure=True, timeout=20)))
provider.get_tracer("till").start_span("pay").end()
provider.shutdown()
"""


class NodeAgent(Agent):
    """Listens where pods reach it, and has their localhost lead there."""

    def configure(self, config):
        listen = {"grpc": f":{self.grpc_port}", "http": "", "metrics": f"127.0.0.1:{self.metrics_port}",
                  "health": f"127.0.0.1:{self.health_port}"}
        super().configure({**config, "listen": listen, "redirect": "10.79.0.1"})


@pytest.fixture
def pod_network():
    """A network namespace by name, joined to ours, which has 10.79.0.1 in it."""
    name = f"tributary-{os.getpid()}"
    commands = [f"ip netns add {name}", f"ip -n {name} link set lo up",
                f"ip link add tributary0 type veth peer name eth0 netns {name}",
                "ip addr add 10.79.0.1/24 dev tributary0", "ip link set tributary0 up",
                f"ip -n {name} addr add 10.79.0.2/24 dev eth0", f"ip -n {name} link set eth0 up"]
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True)
            if done.returncode != 0:
                pytest.skip(f"no networks to be made here: {command}: {done.stderr.strip()}")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


def _removed(directory):
    try:
        directory.rmdir()
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def send(agent, cgroup=""):
    """The sender's process id."""
    client = subprocess.run([sys.executable, "-c", CLIENT, agent.http, str(cgroup)], stdout=subprocess.PIPE, check=True)
    return int(client.stdout)


def arrived(receiver, count):
    """The resource attributes of what arrived as the `count`th."""
    wait_until(lambda: sum(len(request.resource_spans) for request in receiver.traces) >= count, "the span arrived")
    resource = [each for request in receiver.traces for each in request.resource_spans][-1].resource
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in resource.attributes}


def connections(agent, method):
    line = f'tributary_identity_connections_total{{method="{method}"}} '
    return next(float(each.removeprefix(line)) for each in agent.metrics_text().splitlines() if each.startswith(line))


def test_a_container_cannot_claim_to_be_another(tmp_path, pod_cgroup):
    with Receiver() as receiver, Agent(tmp_path, receiver.grpc) as agent:
        send(agent, pod_cgroup)
        attributes = arrived(receiver, 1)
        assert attributes["container.id"] == CONTAINER
        assert attributes["k8s.pod.uid"] == POD
        assert attributes["claimed.container.id"] == "another"
        assert attributes["claimed.k8s.pod.uid"] == "somebody-elses"
        assert attributes["service.name"] == "shop"
        assert "process.pid" not in attributes
        assert 'tributary_replaced_claims_total{signal="traces",destination="upstream"} 2\n' in agent.metrics_text()
        assert connections(agent, "sockops") + connections(agent, "inet_diag") == 1


def test_a_process_of_the_host_is_named(tmp_path, pod_cgroup):
    with Receiver() as receiver, Agent(tmp_path, receiver.grpc) as agent:
        if 'bpf="attached"' not in agent.metrics_text():
            pytest.skip("no BPF here")
        pid = send(agent)
        attributes = arrived(receiver, 1)
        assert attributes["process.pid"] == pid
        assert attributes["process.executable.name"] == pathlib.Path(sys.executable).name[:15]
        assert attributes["container.id"] == "another", "of the host's processes nobody knows better than they do"


def test_frames_keep_their_sender_over_a_restart(tmp_path, pod_cgroup):
    with Receiver() as receiver:
        log = {"mode": "process", "directory": str(tmp_path / "log"), "limit": "16MiB"}
        agent = Agent(tmp_path, "127.0.0.1:1", log=log)
        try:
            send(agent, pod_cgroup)
        finally:
            agent.kill()
        with Agent(tmp_path, receiver.grpc, log=log):
            attributes = arrived(receiver, 1)
        assert (attributes["container.id"], attributes["k8s.pod.uid"]) == (CONTAINER, POD)


def test_localhost_of_a_pod_leads_to_the_agent(tmp_path, pod_cgroup, pod_network):
    pods = tmp_path / "pods.json"
    pods.write_text(json.dumps(POD_MANIFEST))
    with Receiver() as receiver, NodeAgent(tmp_path, receiver.grpc, kubernetes={"pods_file": str(pods)}) as agent:
        if "tributary_redirect_connects_total" not in agent.metrics_text():
            pytest.skip(f"no BPF here: {agent.log.read_text()}")
        # `ip netns exec` mounts another /sys, so the cgroup is joined before.
        in_pod = ["sh", "-c", 'echo $$ > "$0" && exec ip netns exec "$@"', str(pod_cgroup / "cgroup.procs"), pod_network]
        subprocess.run([*in_pod, sys.executable, "-c", SDK_CLIENT], check=True)
        attributes = arrived(receiver, 1)
        assert attributes["container.id"] == CONTAINER
        assert attributes["k8s.pod.uid"] == POD
        assert attributes["k8s.pod.name"] == "shop-7"
        assert attributes["claimed.k8s.pod.name"] == "somebody-else"
        assert attributes["k8s.namespace.name"] == "market"
        assert attributes["k8s.container.name"] == "till"
        assert attributes["service.name"] == "shop"
        assert connections(agent, "sockops") == 1


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
