"""An index in PostgreSQL compared with the same index in its folder, in one run.

    python benchmarks/postgres.py postgresql://me@127.0.0.1/test/paintings            # 100,000 vectors of 256 numbers
    python benchmarks/postgres.py postgresql://me@127.0.0.1/test/paintings 30000

The vectors are synthetic, as in benchmarks/search.py.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from milvus import ASKED, found, timed
from search import clustered

from artidx import Index

FILTERS = "row < 1000", "year == 1510", "artist == 'artist 3'", "year < 1510"


def main() -> None:
    address, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/tmp")))
    try:
        vectors, artists = clustered(count, 256, np.random.default_rng(0))
        (folder / "from").mkdir()
        np.save(folder / "from" / "vectors.npy", vectors)
        table = {
            "id": [f"{i}.jpg" for i in range(count)],
            "artist": [f"artist {a}" for a in artists],
            "year": 1500 + artists % 400,
        }
        pd.DataFrame(table).to_parquet(folder / "from" / "paintings.parquet")
        here = Index.import_vectors(folder / "i.artidx", folder / "from")[0]
        names = [f"{i}.jpg" for i in np.random.default_rng(1).choice(count, ASKED, replace=False)]
        pushed = here.push(address)
        print(
            f"{count:,} vectors of 256: {pushed.written:,} written, and indexed ({pushed.kind}), in "
            f"{pushed.seconds:.0f} s; finds {pushed.recall_at_10:.2%} of the ten nearest"
        )
        there = Index.open(address)
        filtered = ((f'nearest --where "{each}"', here.only(each), there.only(each)) for each in FILTERS)
        for what, ours, theirs in (("nearest", here, there), *filtered):
            (told, first), (told_there, first_there) = timed(ours, names), timed(theirs, names)
            alike = sum(a == b for a, b in zip(first, first_there, strict=True))
            print(f"{what}: folder {told}; PostgreSQL {told_there}; same first artist {alike} of {len(names)}")
            known, asked = found(ours, names), found(theirs, names)
            common = [(a[name], b[name]) for a, b in zip(known, asked, strict=True) for name in a.keys() & b.keys()]
            are_equal = all(a == b for a, b in common)
            print(f"  {len(common):,} common neighbours; distances equal to the last bit: {are_equal}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
