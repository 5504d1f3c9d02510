"""The programs under test as objects: started with a configuration of their own on ports of their own, stopped with the test.

Everything a program says goes to a file in the test's directory, which is shown when the test fails.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

BIN = pathlib.Path(os.environ.get("TRIBUTARY_BIN", pathlib.Path(__file__).parents[2] / "build/release/bin"))


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, timeout=5):
    """The status and body of a page, also when the status is an error."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_until(true, what, timeout=20):
    """Asks until `true()` gives something; fails the test when it never does."""
    deadline = time.monotonic() + timeout
    while True:
        result = true()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


class Program:
    """A process. `directory` takes its log and configuration; `name` tells programs of one kind apart. It is ready when
    `ready_page` answers 200, or without one at once."""

    def __init__(self, directory, name, command, ready_page=None, ready_seconds=20):
        self.ready_page, self.ready_seconds = ready_page, ready_seconds
        self.log = directory / f"{name}.log"
        self.command = [str(part) for part in command]
        self.process = None
        self.start()

    def spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self):
        self.spawn()
        try:
            wait_until(self.ready, f"{self.command[0]} is ready, see {self.log}", self.ready_seconds)
        except AssertionError:
            self.kill()
            raise AssertionError(f"{' '.join(self.command)}\n{self.log.read_text(errors='replace')}")

    def ready(self):
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log.read_text(errors='replace')}"
        if self.ready_page is None:
            return True
        try:
            return get(self.ready_page)[0] == 200
        except OSError:
            return False

    def stop(self):
        """Ends it as an operator would; it must end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command[0]} did not end on SIGTERM")
        assert code == 0, f"{self.command[0]} ended with {code}: {self.log.read_text(errors='replace')}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def rss_mib(self):
        return self._memory_mib("VmRSS")

    def rss_mib_max(self):
        """The most it ever was."""
        return self._memory_mib("VmHWM")

    def _memory_mib(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(f"{field}:")).split()[1]) / 1024

    def __enter__(self):
        return self

    def __exit__(self, exception_type, *_):
        # A test that failed already need not also wait for an orderly end.
        self.stop() if exception_type is None else self.kill()


class OtlpServer(Program):
    """A program that takes OTLP, on `grpc_port` and `http_port`."""

    @property
    def grpc(self):
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http(self):
        return f"http://127.0.0.1:{self.http_port}"


class Configured(OtlpServer):
    """tributary-agent or tributary-gateway."""

    binary = None

    def __init__(self, directory, name, config):
        self.grpc_port, self.http_port, self.metrics_port, self.health_port = (free_port() for _ in range(4))
        self.config_file = directory / f"{name}.yaml"
        self.configure(config)
        super().__init__(directory, name, [BIN / self.binary, "--config", self.config_file],
                         f"http://127.0.0.1:{self.health_port}/ready")

    def configure(self, config):
        """Writes the configuration file; a running process reads it on reload()."""
        listen = {
            "grpc": f"127.0.0.1:{self.grpc_port}",
            "http": f"127.0.0.1:{self.http_port}",
            "metrics": f"127.0.0.1:{self.metrics_port}",
            "health": f"127.0.0.1:{self.health_port}",
        }
        log = {"mode": "memory"}  # of tests that are not about the disk
        self.config_file.write_text(json.dumps({"listen": listen, "log": log, **config}, indent=2))  # JSON is YAML

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def health(self):
        return json.loads(get(f"http://127.0.0.1:{self.health_port}/ready")[1])

    def metrics_text(self):
        status, body = get(f"http://127.0.0.1:{self.metrics_port}/metrics")
        assert status == 200
        return body.decode()


class Agent(Configured):
    binary = "tributary-agent"

    def __init__(self, directory, address, name="agent", log=None, memory=None, resource=None, kubernetes=None,
                 **upstream):
        """Sends to `address` by OTLP/gRPC. `upstream`: more of that section's keys."""
        config = {"upstream": {"endpoint": f"http://{address}", **upstream}, "log": log, "memory": memory,
                  "resource": resource, "kubernetes": kubernetes}
        super().__init__(directory, name, {key: section for key, section in config.items() if section is not None})


class Gateway(Configured):
    binary = "tributary-gateway"

    def __init__(self, directory, sinks, name="gateway", **config):
        super().__init__(directory, name, {"sinks": sinks, **config})


class Sink(OtlpServer):
    """tributary-sink."""

    def __init__(self, directory, name="sink"):
        self.grpc_port, self.http_port, self.control_port = (free_port() for _ in range(3))
        super().__init__(directory, name, [
            BIN / "tributary-sink",
            "--grpc", f"127.0.0.1:{self.grpc_port}",
            "--http", f"127.0.0.1:{self.http_port}",
            "--control", f"127.0.0.1:{self.control_port}",
        ], f"http://127.0.0.1:{self.control_port}/stats")

    def stats(self):
        return json.loads(get(f"http://127.0.0.1:{self.control_port}/stats")[1])

    def run(self, run):
        """What became of one run of tributary-load: unique, duplicates, highest, missing."""
        for seen in self.stats()["runs"]:
            if seen["run"] == run:
                return seen
        return {"run": run, "unique": 0, "duplicates": 0, "highest": 0, "missing": 0}

    def latest_run(self):
        return max(self.stats()["runs"], key=lambda seen: int(seen["run"]))

    def items(self, signal_name):
        return self.stats()["signals"][signal_name]["items"]

    def mode(self, mode, retry_after_ms=None):
        query = f"set={mode}" + (f"&retry_after_ms={retry_after_ms}" if retry_after_ms is not None else "")
        status, body = get(f"http://127.0.0.1:{self.control_port}/mode?{query}")
        assert status == 200, body


class Load:
    """tributary-load, running until its schedule ends."""

    def __init__(self, endpoint, **options):
        command = [str(BIN / "tributary-load"), "--endpoint", endpoint, "--json"]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            command += [flag] if value is True else [flag, str(value)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        return self.process.poll() is None

    def result(self, timeout=120):
        out, err = self.process.communicate(timeout=timeout)
        assert out, f"tributary-load said nothing: {err}"
        return json.loads(out)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running():
            self.process.kill()
        self.process.wait()
