"""A "pod": OpenTelemetry's Python SDK in a cgroup such as the kubelet makes, with a real kernel and a list of pods. What it sends
arrives with its pod's attributes, whatever it claims to be.

Needs root, BPF and a writable cgroup2; skipped where these cannot be had.
"""

import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest

import foreign
import ledger
from programs import Agent, wait_until
from receiver import Receiver


SENDER = """
import sys
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

provider = TracerProvider(resource=Resource.create({"k8s.pod.name": "somebody-else", "claim": "kept"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint="http://" + sys.argv[1], insecure=True)))
provider.get_tracer("t").start_span("work").end()
provider.shutdown()
"""


def cgroup_root():
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2" and os.access(fields[1], os.W_OK):
            return pathlib.Path(fields[1])
    return None


class PodCgroup:
    """kubepods/pod<uid>/<container id>, as the cgroupfs driver lays it out."""

    def __init__(self, root):
        self.uid = str(uuid.uuid4())
        self.container_id = uuid.uuid4().hex * 2
        self.pod = root / "kubepods" / f"pod{self.uid}"
        self.path = self.pod / self.container_id

    def __enter__(self):
        self.path.mkdir(parents=True)
        return self

    def run(self, *command):
        def enter():
            (self.path / "cgroup.procs").write_text(str(os.getpid()))
        subprocess.run(command, check=True, timeout=60, preexec_fn=enter)

    def __exit__(self, *_):
        wait_until(lambda: not (self.path / "cgroup.procs").read_text(), "the pod's processes are gone")
        self.path.rmdir()
        self.pod.rmdir()
        try:
            self.pod.parent.rmdir()
        except OSError:
            pass  # others use it


def pod_list(cgroup):
    return {"items": [{
        "metadata": {"uid": cgroup.uid, "name": "api-6d4cf56db6-x2x7k", "namespace": "shop",
                     "labels": {"pod-template-hash": "6d4cf56db6", "team": "checkout"},
                     "ownerReferences": [{"kind": "ReplicaSet", "name": "api-6d4cf56db6", "controller": True}]},
        "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "shop/api:1.4"}]},
        "status": {"containerStatuses": [{"name": "main", "containerID": "containerd://" + cgroup.container_id}]},
    }]}


def attributes(receiver):
    resource = receiver.traces[-1].resource_spans[0].resource
    return {a.key: a.value.string_value for a in resource.attributes}


def why_not():
    return "needs root and a writable cgroup2" if os.geteuid() != 0 or cgroup_root() is None else None


@pytest.fixture
def cgroup():
    with PodCgroup(cgroup_root()) as cgroup:
        yield cgroup


def test_what_a_pod_sends_is_its_own(tmp_path, cgroup):
    pods = tmp_path / "pods.json"
    pods.write_text(json.dumps({"items": []}))
    with Receiver() as receiver, Agent(tmp_path, receiver.grpc, resource={"detect": True},
                                       kubernetes={"pods_file": str(pods), "labels": ["team"]}) as agent, \
            ledger.Watch(agent):
        if 'bpf="attached"' not in agent.metrics_text():
            pytest.skip("the kernel lets no BPF program be attached")

        # Nobody has told of the pod yet: what the kernel knows.
        cgroup.run(sys.executable, "-c", SENDER, agent.grpc)
        wait_until(lambda: receiver.traces, "the span arrives")
        got = attributes(receiver)
        assert got["container.id"] == cgroup.container_id
        assert got["k8s.pod.uid"] == cgroup.uid
        assert got["claim"] == "kept"

        pods.write_text(json.dumps(pod_list(cgroup)))
        wait_until(lambda: sent_again(cgroup, agent, receiver).get("k8s.pod.name") == "api-6d4cf56db6-x2x7k",
                   "the pod is known")
        got = attributes(receiver)
        assert {key: got[key] for key in got if key.startswith(("k8s.", "container."))} == {
            "k8s.pod.name": "api-6d4cf56db6-x2x7k",
            "k8s.pod.uid": cgroup.uid,
            "k8s.namespace.name": "shop",
            "k8s.node.name": "node1",
            "k8s.deployment.name": "api",
            "k8s.replicaset.name": "api-6d4cf56db6",
            "k8s.container.name": "main",
            "k8s.pod.label.team": "checkout",
            "container.id": cgroup.container_id,
            "container.image.name": "shop/api",
            "container.image.tags": "",  # an array
        } | {key: got[key] for key in ["container.runtime"] if key in got}
        assert got["service.namespace"] == "shop"
        assert got["service.name"].startswith("unknown_service")  # the SDK says so itself, and is believed


def sent_again(cgroup, agent, receiver):
    before = len(receiver.traces)
    cgroup.run(sys.executable, "-c", SENDER, agent.grpc)
    wait_until(lambda: len(receiver.traces) > before, "the span arrives")
    return attributes(receiver)


if __name__ == "__main__":
    foreign.main(__file__, why_not)
