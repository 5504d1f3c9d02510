"""What deploy/ has is what the programs take: every configuration passes --check, and an image made of a program runs with
nothing but what is in it."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest
import yaml

from programs import BIN

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
# What the examples take from the environment.
ENVIRONMENT = {**os.environ, "K8S_NODE_NAME": "node1", "OTLP_TOKEN": "secret"}


def configurations():
    """(name, program, text) of every configuration in deploy/, those in ConfigMaps too."""
    for path in sorted(DEPLOY.rglob("*.yaml")):
        name = str(path.relative_to(DEPLOY))
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
        if all("apiVersion" in document for document in documents):
            for document in documents:
                for file, text in document.get("data", {}).items() if document["kind"] == "ConfigMap" else ():
                    yield f"{name}:{file}", f"tributary-{pathlib.Path(file).stem}", text
        elif "upstream" in documents[0]:
            yield name, "tributary-agent", path.read_text()
        elif "sinks" in documents[0]:
            yield name, "tributary-gateway", path.read_text()


CONFIGURATIONS = list(configurations())


def test_there_are_configurations():
    programs = [program for _, program, _ in CONFIGURATIONS]
    assert programs.count("tributary-agent") >= 2 and programs.count("tributary-gateway") >= 3


@pytest.mark.parametrize("program, text", [c[1:] for c in CONFIGURATIONS], ids=[c[0] for c in CONFIGURATIONS])
def test_a_configuration_is_valid(tmp_path, program, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    subprocess.run([BIN / program, "--check", "--config", file], check=True, timeout=20, env=ENVIRONMENT)


def blob(image, descriptor):
    content = image.extractfile("blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")).read()
    assert len(content) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(content).hexdigest() == descriptor["digest"]
    return content


@pytest.mark.parametrize("program", ["tributary-agent", "tributary-gateway"])
def test_an_image_runs_with_nothing_but_itself(tmp_path, program):
    path = tmp_path / "image.tar"
    make = [sys.executable, DEPLOY / "image" / "make_image.py", BIN / program]
    subprocess.run([*make, path, "--tag", "registry.example/x:1"], check=True)
    subprocess.run([*make, tmp_path / "again.tar", "--tag", "registry.example/x:1"], check=True)
    assert path.read_bytes() == (tmp_path / "again.tar").read_bytes()

    with tarfile.open(path) as image:
        index = json.load(image.extractfile("index.json"))
        assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "registry.example/x:1"
        manifest = json.loads(blob(image, index["manifests"][0]))
        config = json.loads(blob(image, manifest["config"]))
        (tmp_path / "layer.tar.gz").write_bytes(blob(image, manifest["layers"][0]))
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--extract", "--gzip", "--file", tmp_path / "layer.tar.gz", "--directory", root], check=True)
    if os.geteuid() != 0:
        pytest.skip("needs root, for chroot")
    done = subprocess.run(["chroot", root, *config["config"]["Entrypoint"], "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(program), done.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
