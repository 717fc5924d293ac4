"""The time of a submission of the size of Painter by Numbers, compared with the unavoidable work.

    python benchmarks/submit.py

The shape is the competition's: 23,817 test images in 13 groups, 21,916,047 pairs within the groups, 512 numbers per
vector; the vectors are synthetic. The unavoidable work, in the same process: the products of the images with the
landmarks, the 13 Gram matrices of vectors and of neighbourhoods, and writing as many bytes. Searching the nearest of
each image is not included.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from artidx.index.answers.submit import submit
from artidx.index.scoring.calibration import OperatingPoint, PairCalibration, Scale
from artidx.index.scoring.neighbourhood import LANDMARKS
from artidx.index.scoring.vectors import vector_hash
from artidx.index.storage.generations import Contents, Generation
from artidx.index.storage.manifest import FORMAT, Manifest, Model
from artidx.index.storage.segments import Draft, Tables

IMAGES, GROUPS, PAIRS, DIM, ARTISTS = 23_817, 13, 21_916_047, 512, 1_584
ROUNDS = 5
NOWHERE = OperatingPoint(0.5, 0.1, 0.5)


def group_sizes() -> list[int]:
    """13 sizes that give the number of images and, without the last pairs, of pairs."""
    sizes = np.full(GROUPS, IMAGES // GROUPS)
    sizes[: IMAGES - sizes.sum()] += 1
    for step in range(1, IMAGES):  # unequal groups have more pairs
        if (sizes * (sizes - 1) // 2).sum() >= PAIRS:
            break
        sizes[step % (GROUPS // 2)] += 1
        sizes[-1 - step % (GROUPS // 2)] -= 1
    return [int(size) for size in sizes]


def write_pairs(target: Path, names: np.ndarray[tuple[int], np.dtype[np.str_]], sizes: list[int]) -> None:
    start = written = 0
    with target.open("w") as stream:
        stream.write("index,image1,image2\n")
        for size in sizes:
            a, b = np.triu_indices(size, 1)
            keep = min(len(a), PAIRS - written)
            pd.DataFrame(
                {
                    "index": np.arange(written, written + keep),
                    "a": names[start + a[:keep]],
                    "b": names[start + b[:keep]],
                }
            ).to_csv(stream, header=False, index=False)
            start, written = start + size, written + keep


def made_up(names: np.ndarray[tuple[int], np.dtype[np.str_]], folder: Path) -> Generation:
    chance = np.random.default_rng(0)
    artists = chance.integers(0, ARTISTS, IMAGES)
    vectors = chance.normal(size=(ARTISTS, DIM))[artists] + 5 * chance.normal(size=(IMAGES, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = np.where(artists % 3 == 0, "test_only", "train_and_test")
    hashes = [vector_hash(vector) for vector in vectors.astype(np.float32)]
    table = pd.DataFrame(
        {
            "row": np.arange(IMAGES),
            "id": names,
            "vector_sha256": hashes,
            "artist_key": [f"artist {a:04d}" for a in artists],
            "artist_group": groups,
        }
    )
    contents = Contents(
        [Draft(Tables.of(table), vectors.astype(np.float32))], np.zeros(DIM, np.float32), ARTISTS, IMAGES
    )
    manifest = Manifest(
        FORMAT,
        1,
        "",
        "",
        Model("", "", DIM),
        IMAGES,
        ARTISTS,
        0,
        IMAGES,
        [0.0] * DIM,
        ARTISTS,
        None,
        contents.storage,
        contents.approximate_from,
        [],
        {},
    )
    return Generation(folder, manifest, contents.vectors(), contents, folder / "model.onnx", sha256="", seen={})


def main() -> None:
    sizes = group_sizes()
    names = np.array([f"{number}.jpg" for number in np.random.default_rng(1).permutation(103_250)[:IMAGES]])
    scale = Scale(-7.3, 8.0, (NOWHERE,) * 3, NOWHERE, (), 0.5, None, None)
    calibration = PairCalibration(scale, scale, 0.9, "nothing", 1, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generation = made_up(names, folder)
        write_pairs(folder / "pairs.csv", names, sizes)
        starts, data = np.cumsum([0, *sizes[:-1]]), os.urandom(1 << 20)
        rounds, peaks = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            done = submit(generation, calibration, folder / "pairs.csv", folder / "out.csv")
            answered = time.perf_counter()
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            seen = generation.vectors.matrix @ generation.vectors.matrix[:LANDMARKS].T
            for start, size in zip(starts, sizes, strict=True):
                for part in (generation.vectors.matrix[start : start + size], seen[start : start + size]):
                    part @ part.T
            multiplied = time.perf_counter()
            with (folder / "bare").open("wb") as stream:
                for _ in range((folder / "out.csv").stat().st_size >> 20):
                    stream.write(data)
                os.fsync(stream.fileno())
            rounds.append((answered - began, multiplied - answered, time.perf_counter() - multiplied))
    seconds, products, writing = np.median(rounds, axis=0)
    ratios = sorted(whole / (bare + written) for whole, bare, written in rounds)
    print(
        f"{done.pairs:,} pairs of {sum(sizes):,} images in {seconds:.1f} s; AUC {done.auc:.4f}, "
        f"seen {done.auc_seen:.4f}, unseen {done.auc_unseen:.4f}"
    )
    print(
        f"bare products {products:.1f} s, writing as many bytes {writing:.1f} s; ratio {np.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}); medians of {ROUNDS} rounds, and their range"
    )
    print(f"peak memory of the first round {peaks[0]:.0f} MiB")


if __name__ == "__main__":
    main()
