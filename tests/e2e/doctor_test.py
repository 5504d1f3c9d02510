"""`tributary doctor` says what is lacking and what to do; and an agent that lacks everything serves all the same."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from programs import BIN, Agent, Load, Sink, free_port, wait_until

# A process with no privilege at all.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


def doctor(*arguments, prefix=()):
    done = subprocess.run([*prefix, BIN / "tributary", "doctor", "--json", *arguments], capture_output=True, text=True,
                          timeout=60)
    findings = {finding["what"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == (0 if all(finding["ok"] for finding in findings.values()) else 1), done.stderr
    return findings


def test_it_looks_at_everything():
    findings = doctor()
    assert list(findings) == ["kernel", "cgroup", "bpf", "sender", "io", "log", "kubernetes"]
    for finding in findings.values():
        assert finding["detail"] and bool(finding["advice"]) != finding["ok"], finding


def test_it_says_what_a_cluster_that_does_not_answer_means(tmp_path):
    (tmp_path / "token").write_text("t")
    config = tmp_path / "agent.yaml"
    config.write_text(f"""
upstream: {{endpoint: "http://127.0.0.1:4317"}}
kubernetes: {{enabled: true, node: node1, api_server: "http://127.0.0.1:{free_port()}", kubelet: "",
             token_file: "{tmp_path}/token"}}
""")
    findings = doctor("--config", config)
    assert not findings["kubernetes"]["ok"] and "deploy/daemonset" in findings["kubernetes"]["advice"]
    assert "kubelet" not in findings


def test_a_faulty_configuration_is_told(tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text("upstraem: 1\n")
    done = subprocess.run([BIN / "tributary", "doctor", "--config", config], capture_output=True, text=True)
    assert done.returncode == 2 and "upstraem" in done.stderr


@pytest.fixture
def bin_for_all(tmp_path):
    """The programs where everybody can reach them."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to give up being it")
    directory = "/tmp/" + tmp_path.name + "." + str(os.getpid())
    os.makedirs(directory, mode=0o755)
    for program in ("tributary", "tributary-agent"):
        shutil.copy(BIN / program, directory)
    yield directory
    shutil.rmtree(directory)


def test_it_says_what_a_process_without_privilege_lacks(bin_for_all):
    done = subprocess.run([*NOBODY, f"{bin_for_all}/tributary", "doctor"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "LACKING bpf" in done.stdout and "CAP_BPF" in done.stdout


class UnprivilegedAgent(Agent):
    """`programs`: a directory that everybody may read, with the program."""

    def __init__(self, directory, address, programs, **config):
        self.programs = programs
        super().__init__(directory, address, **config)

    def spawn(self):
        config_file = shutil.copy(self.config_file, self.programs)
        self.command = [*NOBODY, f"{self.programs}/tributary-agent", "--config", config_file]
        super().spawn()


def test_an_agent_without_privilege_serves(tmp_path, bin_for_all):
    with Sink(tmp_path) as sink, UnprivilegedAgent(tmp_path, sink.grpc, bin_for_all, resource={"detect": True}) as agent:
        with Load(agent.grpc, rate=0, requests=20, duration=0, items_per_request=10) as load:
            result = load.result()
        assert result["items_ok"] == 200
        wait_until(lambda: sink.run(result["run"])["unique"] == 200, "everything arrives")
        assert agent.log.read_text().count("senders are known only") == 1
        assert 'bpf="none"' in agent.metrics_text()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-rs", "-p", "no:cacheprovider"]))
