"""Java: what its OpenTelemetry SDK sends arrives behind the gateway, and the agent sends to grpc-java's server.

Needs a JDK (17 or newer) and Maven, which fetches the libraries of java/pom.xml the first time; skipped, saying so,
without them."""

import pathlib
import subprocess

import pytest

import chain as chains
import foreign

SOURCE = pathlib.Path(__file__).parent / "java"
BUILT = pathlib.Path(__file__).parents[2] / "build/e2e-java"
# Each sender's libraries; the SDK takes what it finds.
SENDERS = {"okhttp": "opentelemetry-exporter-sender-okhttp-", "grpc-java": "opentelemetry-exporter-sender-grpc-managed-channel-"}


def why_not():
    if reason := foreign.missing("java", "javac", "mvn"):
        return reason
    BUILT.mkdir(parents=True, exist_ok=True)
    return foreign.install_once(BUILT, SOURCE / "pom.xml", [
        "mvn", "-q", "-B", "-Dstyle.color=never", "-f", SOURCE / "pom.xml", "dependency:copy-dependencies",
        f"-DoutputDirectory={BUILT / 'lib'}"])


@pytest.fixture(scope="module")
def built():
    if reason := why_not():
        pytest.skip(reason)
    classes = BUILT / "classes"
    classes.mkdir(exist_ok=True)
    subprocess.run(["javac", "-encoding", "UTF-8", "-cp", BUILT / "lib/*", "-d", classes, *SOURCE.glob("*.java")], check=True)
    return BUILT


def java(name, sender="okhttp"):
    """How to run a class, with one of the SDK's senders."""
    left_out = [library for other, library in SENDERS.items() if other != sender]
    jars = [jar for jar in BUILT.glob("lib/*.jar") if not jar.name.startswith(tuple(left_out))]
    return ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", ":".join(map(str, [BUILT / "classes", *jars])), name]


@pytest.fixture(scope="module")
def receive(built):
    return java("Receive")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    with chains.running(tmp_path_factory.mktemp("java")) as chain:
        yield chain


@pytest.mark.parametrize("sender", SENDERS)
def test_the_sdk_over_grpc(built, chain, sender):
    chain.assert_arrives(foreign.send(java("Send", sender), "grpc", chain.agent.grpc))


def test_the_sdk_over_http(built, chain):
    chain.assert_arrives(foreign.send(java("Send"), "http/protobuf", chain.agent.http))


class TestItsBackend(foreign.BackendCases):
    pass


if __name__ == "__main__":
    foreign.main(__file__, why_not)
