"""The whole way: an agent, a gateway, and a backend in Python that keeps what arrives."""

import contextlib

import ledger
import otlp
from programs import Agent, Gateway, wait_until
from receiver import Receiver

SIGNALS = ["traces", "metrics", "logs"]
# What the agent adds to every Resource: the attributes of its configuration, so that tests know all of them.
ENRICHMENT = {"e2e.node": "node-7", "e2e.cluster": "äß€"}


class Chain:
    def __init__(self, agent, gateway, receiver):
        self.agent, self.gateway, self.receiver = agent, gateway, receiver

    def assert_arrives(self, sent):
        """`sent`: requests by signal. Takes what the backend has got."""
        for signal in SIGNALS:
            expected, arrived = otlp.items(sent[signal]), getattr(self.receiver, signal)
            wait_until(lambda: otlp.count(arrived) >= len(expected), f"{len(expected)} items of {signal}")
            otlp.assert_same(expected, otlp.items(arrived, ENRICHMENT))
            arrived.clear()


@contextlib.contextmanager
def running(directory):
    """A Chain whose ledgers are watched."""
    with (Receiver() as receiver,
          Gateway(directory, [{"name": "backend", "type": "otlp", "endpoint": f"http://{receiver.grpc}"}]) as gateway,
          Agent(directory, gateway.grpc, resource={"detect": False, "attributes": ENRICHMENT}) as agent,
          ledger.Watch(agent, gateway)):
        yield Chain(agent, gateway, receiver)
