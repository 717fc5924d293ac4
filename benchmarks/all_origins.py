"""One catalog of paintings at home and away: what `base` is trained and measured on, and its gallery made of.

    python benchmarks/all_origins.py PAINTINGS OUTPUT.csv

PAINTINGS: the folder with paintings.csv and its images/, and away/away.csv with its own. Each row gets an address where
people can look at the painting, as far as its file's name gives one: WikiArt's, a Wikidata item's, the Metropolitan
Museum's, the Art Institute of Chicago's. Names of one person are told to be one where they are not read so.

The column `measured` parts them as docs/accuracy.md does: what `base` learnt is one gallery, train, and photographs
that seem to show a painting it learnt are a split of their own, same_as.

    artidx evaluate OUTPUT.csv --model base --split-column measured
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

ADDRESSES = {
    r"^(?P<artist>[^/]+)/wa_(?P<name>[^/]+)\.\w+$": "https://www.wikiart.org/en/{artist}/{name}",
    r"/wikidata-(?P<item>Q\d+)\.\w+$": "https://www.wikidata.org/wiki/{item}",
    r"/met[-_](?P<object>\d+)\.\w+$": "https://www.metmuseum.org/art/collection/search/{object}",
    r"^aic/[^/]+/(?P<object>\d+)\.\w+$": "https://www.artic.edu/artworks/{object}",
}


def address(name: str) -> str:
    """Where a painting can be looked at, by the name of its file; empty where that says nothing."""
    for pattern, where in ADDRESSES.items():
        if found := re.search(pattern, name):
            return where.format(**found.groupdict())
    return ""


def joined(folder: Path) -> pd.DataFrame:
    home = pd.read_csv(folder / "paintings.csv", dtype=str, keep_default_na=False)
    away = pd.read_csv(folder / "away" / "away.csv", dtype=str, keep_default_na=False)
    home["id"], home["path"] = home["filename"], [str(folder / "images" / name) for name in home["filename"]]
    away["id"], away["path"] = away["filename"], [str(folder / "away" / "images" / name) for name in away["filename"]]
    both = pd.concat([home, away.drop(columns=["width", "height"])], ignore_index=True).fillna("")
    both["url"] = both["filename"].map(address)
    is_learnt = both["split"].str.startswith("train")
    both["measured"] = both["split"].where(both["same_as"] == "", "same_as").mask(is_learnt, "train")
    return both.drop(columns="filename")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    joined(Path(sys.argv[1]).resolve()).to_csv(sys.argv[2], index=False)
