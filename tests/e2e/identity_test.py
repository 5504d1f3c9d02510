"""Who sent it: what the kernel says of a sender goes before what its payload claims. Real cgroups; skipped where there are
none to be made."""

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
        assert attributes["service.name"] == "shop"
        assert "process.pid" not in attributes
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


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
