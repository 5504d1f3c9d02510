#!/usr/bin/env python3
"""Packs a program into an OCI image without Docker: make_image.py PROGRAM IMAGE.tar [--tag NAME:TAG]

The image has one layer: the program, the shared libraries that ldd names for it, and the certificate authorities of this
machine. Nothing else is in it, no shell and no package manager. The same input gives the same image, byte for byte.

  docker load -i IMAGE.tar            podman load -i IMAGE.tar            ctr -n k8s.io images import IMAGE.tar

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import platform
import re
import subprocess
import sys
import tarfile

MEDIA = "application/vnd.oci.image."
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
USERS = b"root:x:0:0:root:/:/nonexistent\nnobody:x:65534:65534:nobody:/:/nonexistent\n"


def shared_libraries(program):
    """The paths that the loader would take, the loader's own included."""
    listing = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    if missing := re.findall(r"(\S+) => not found", listing):
        sys.exit(f"make_image.py: {program} needs {', '.join(missing)}, which this machine lacks")
    return sorted(set(re.findall(r"(/\S+) \(0x", listing)))


class Layer:
    """A tar file of the root file system; every file root's, of no particular time."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)
        self.directories = set()

    def add(self, path, content, mode):
        for parent in reversed(pathlib.PurePosixPath(path).parents[:-1]):
            if parent not in self.directories:
                self.directories.add(parent)
                entry = tarfile.TarInfo(str(parent).lstrip("/"))
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                self.tar.addfile(entry)
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size, entry.mode = len(content), mode
        self.tar.addfile(entry, io.BytesIO(content))

    def finish(self):
        self.tar.close()
        return self.bytes.getvalue()


def root_file_system(program):
    layer = Layer()
    layer.add(f"/usr/bin/{program.name}", program.read_bytes(), 0o755)
    for library in shared_libraries(program):
        layer.add(library, pathlib.Path(library).read_bytes(), 0o755)
    if pathlib.Path(CERTIFICATES).exists():
        layer.add(CERTIFICATES, pathlib.Path(CERTIFICATES).read_bytes(), 0o644)
    layer.add("/etc/passwd", USERS, 0o644)
    return layer.finish()


class Blobs:
    """The content of an image layout, by digest."""

    def __init__(self):
        self.content = {}

    def add(self, kind, content):
        digest = hashlib.sha256(content).hexdigest()
        self.content[f"blobs/sha256/{digest}"] = content
        return {"mediaType": MEDIA + kind, "digest": f"sha256:{digest}", "size": len(content)}

    def add_json(self, kind, value):
        return self.add(kind, json.dumps(value).encode())


def make_image(program, tag):
    machine = platform.machine()
    target = {"architecture": ARCHITECTURES.get(machine, machine), "os": "linux"}
    layer = root_file_system(program)
    blobs = Blobs()
    packed = blobs.add("layer.v1.tar+gzip", gzip.compress(layer, compresslevel=6, mtime=0))
    config = blobs.add_json("config.v1+json", {
        **target,
        "config": {"Entrypoint": [f"/usr/bin/{program.name}"],
                   "Labels": {"org.opencontainers.image.title": program.name,
                              "org.opencontainers.image.licenses": "Apache-2.0"}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    })
    manifest = blobs.add_json("manifest.v1+json", {
        "schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json", "config": config, "layers": [packed]})
    manifest["platform"] = target
    manifest["annotations"] = {"io.containerd.image.name": tag,
                               "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}
    index = {"schemaVersion": 2, "manifests": [manifest]}
    # What `docker load` reads of its own format, beside the layout's index.
    docker = [{"Config": f"blobs/sha256/{config['digest'][7:]}", "RepoTags": [tag],
               "Layers": [f"blobs/sha256/{packed['digest'][7:]}"]}]
    return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(),
            "manifest.json": json.dumps(docker).encode(), **blobs.content}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("--tag", help="NAME:TAG (localhost/PROGRAM:latest)")
    options = parser.parse_args()
    if not options.program.is_file():
        parser.error(f"{options.program} is no file: build it first")
    tag = options.tag or f"localhost/{options.program.name}:latest"

    with tarfile.open(options.image, "w", format=tarfile.GNU_FORMAT) as image:
        for name, content in make_image(options.program, tag).items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            image.addfile(entry, io.BytesIO(content))
    print(f"{options.image}: {tag}, {options.image.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
