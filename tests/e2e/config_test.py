"""Configuration: --check names file, line and key of every fault; SIGHUP applies a new file, or keeps the old one and says
why; neither loses anything."""

import subprocess
import sys

import pytest

import ledger
from programs import BIN, Agent, Load, Sink, wait_until

VALID = "upstream:\n  endpoint: http://127.0.0.1:4317\n"


def check(tmp_path, text, binary="tributary-agent"):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    done = subprocess.run([BIN / binary, "--check", "--config", file], capture_output=True, text=True, timeout=20)
    return done.returncode, (done.stdout + done.stderr).replace(str(file), "FILE")


def test_a_valid_file_passes(tmp_path):
    code, said = check(tmp_path, VALID)
    assert code == 0 and "valid" in said


@pytest.mark.parametrize("text, line, key", [
    ("listen: {}\n", 1, "upstream"),
    (VALID + "memory:\n  limt: 64MiB\n", 4, "limt"),
    (VALID + "memory:\n  limit: lots\n", 4, "memory.limit"),
    (VALID + "log:\n  mode: sometimes\n", 4, "log.mode"),
    (VALID + "log:\n  limit: 1MiB\n", 4, "log.limit"),
    (VALID + "log:\n  when_full: panic\n", 4, "log.when_full"),
    (VALID + "log_level: loud\n", 3, "log_level"),
    (VALID + "  timeout: [1, 2]\n", 3, "upstream.timeout"),
    (VALID + "listen: {grpc: 127.0.0.1:notaport}\n", 3, "listen.grpc"),
    (VALID + "upstream:\n  endpoint: http://twice:1\n", 3, "upstream"),
    (VALID + "resource:\n  attributes: {a: [1]}\n", 4, "resource.attributes"),
    (VALID + "  headers: {authorization: '${NOT_SET_ANYWHERE}'}\n", 3, "NOT_SET_ANYWHERE"),
    ("upstream: {endpoint: 'http://unfinished\n", 2, ""),
])
def test_a_fault_is_told_with_file_line_and_key(tmp_path, text, line, key):
    code, said = check(tmp_path, text)
    assert code == 1
    fault = next((part for part in said.splitlines() if "FILE:" in part), "")
    assert key in fault, said
    assert f"FILE:{line}:" in fault, said


def test_every_fault_is_told_at_once(tmp_path):
    _, said = check(tmp_path, "upstream: {}\nlog_level: loud\nmemory: {limit: 1}\n")
    assert "endpoint" in said and "log_level" in said and "memory.limit" in said


def test_a_missing_file_is_told(tmp_path):
    done = subprocess.run([BIN / "tributary-agent", "--check", "--config", tmp_path / "none.yaml"], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 1
    assert "none.yaml" in done.stderr and "No such file" in done.stderr


@pytest.mark.parametrize("binary", ["tributary-agent", "tributary-gateway", "tributary", "tributary-load",
                                    "tributary-sink", "tributary-shop"])
def test_a_wrong_argument_is_told_in_one_line_with_exit_code_2(binary):
    done = subprocess.run([BIN / binary, "--colour"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert done.stderr == f"{binary}: unexpected argument: --colour ({binary} --help says what there is)\n"
    assert done.stdout == ""


def test_a_reload_applies_and_loses_nothing(tmp_path):
    with Sink(tmp_path, "old") as old, Sink(tmp_path, "new") as new, Agent(tmp_path, old.grpc) as agent:
        with ledger.Watch(agent), Load(agent.grpc, rate=20_000, duration=3, items_per_request=100, retry=True) as load:
            wait_until(lambda: old.items("traces") > 0, "the load is flowing")
            agent.configure({"upstream": {"endpoint": f"http://{new.grpc}"}})
            agent.reload()
            wait_until(lambda: new.items("traces") > 0, "the new upstream is used")
            result = load.result()
            assert result["items_ok"] == result["items_sent"], result
            wait_until(lambda: old.items("traces") + new.items("traces") >= result["items_ok"], "everything arrives")
            # Counters go on where they were.
            account = ledger.accounts(agent)["upstream", "traces"]
            assert account.received == result["items_ok"], account
        unique = old.run(result["run"])["unique"] + new.run(result["run"])["unique"]
        assert unique >= result["items_ok"]  # what was under way at the time may have arrived at both


def test_a_reload_with_a_fault_keeps_the_old_configuration_and_says_why(tmp_path):
    with Sink(tmp_path) as sink, Agent(tmp_path, sink.grpc) as agent:
        agent.config_file.write_text("upstream:\n  endpoint: http://127.0.0.1:1\n  colour: blue\n")
        agent.reload()
        wait_until(lambda: "colour" in agent.log.read_text(), "the fault is logged")
        assert f"{agent.config_file}:3" in agent.log.read_text()
        with Load(agent.grpc, rate=0, requests=10, duration=0) as load:
            result = load.result()
        wait_until(lambda: sink.run(result["run"])["unique"] == result["items_ok"] == 640, "the old upstream is used")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
