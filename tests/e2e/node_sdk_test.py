"""What the OpenTelemetry JavaScript SDK sends arrives behind the gateway, whichever of its exporters is used.

Needs node and npm, and the packages of node/package-lock.json, which npm installs under build/ the first time; skipped,
saying so, without them."""

import pathlib
import shutil

import pytest

import chain as chains
import foreign

SOURCE = pathlib.Path(__file__).parent / "node"
INSTALLED = pathlib.Path(__file__).parents[2] / "build/e2e-node"


def why_not():
    if reason := foreign.missing("node", "npm"):
        return reason
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json", "send.mjs"):  # imports are looked up from where a module is
        shutil.copy(SOURCE / file, INSTALLED)
    return foreign.install_once(INSTALLED, SOURCE / "package-lock.json",
                                ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    if reason := why_not():
        pytest.skip(reason)
    with chains.running(tmp_path_factory.mktemp("node")) as chain:
        yield chain


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_the_javascript_sdk(chain, protocol):
    endpoint = chain.agent.grpc if protocol == "grpc" else chain.agent.http
    chain.assert_arrives(foreign.send(["node", INSTALLED / "send.mjs"], protocol, endpoint))


if __name__ == "__main__":
    foreign.main(__file__, why_not)
