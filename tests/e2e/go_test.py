"""Go: what its OpenTelemetry SDK sends arrives behind the gateway, and the agent sends to grpc-go's server.

Needs `go`, of the version in go/go.mod or newer, and the modules of go/go.sum, which it fetches the first time; skipped,
saying so, without them."""

import os
import pathlib
import subprocess

import pytest

import chain as chains
import foreign

SOURCE = pathlib.Path(__file__).parent / "go"
BUILT = pathlib.Path(__file__).parents[2] / "build/e2e-go"


def why_not():
    if reason := foreign.missing("go"):
        return reason
    os.environ["GOTOOLCHAIN"] = "local"  # the one that is installed, or none
    BUILT.mkdir(parents=True, exist_ok=True)
    return foreign.install_once(BUILT, SOURCE / "go.sum", ["go", "-C", SOURCE, "mod", "download"])


@pytest.fixture(scope="module")
def built():
    if reason := why_not():
        pytest.skip(reason)
    subprocess.run(["go", "-C", SOURCE, "build", "-o", f"{BUILT}/", "./..."], check=True)
    return BUILT


@pytest.fixture(scope="module")
def receive(built):
    return [built / "receive"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    with chains.running(tmp_path_factory.mktemp("go")) as chain:
        yield chain


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_sdk(built, chain, protocol):
    endpoint = chain.agent.grpc if protocol == "grpc" else chain.agent.http
    chain.assert_arrives(foreign.send([built / "send"], protocol, endpoint))


class TestItsBackend(foreign.BackendCases):
    pass


if __name__ == "__main__":
    foreign.main(__file__, why_not)
