"""One catalog of all paintings and sources: `base` is trained and measured on it, and the reference gallery is made
from it.

    python benchmarks/all_origins.py PAINTINGS OUTPUT.csv

PAINTINGS: the folder with paintings.csv and its images/, and away/away.csv with its own. Each row gets a web address of
the painting, if its file's name contains one: WikiArt's, a Wikidata item's, the Metropolitan Museum's, the Art
Institute of Chicago's. Different names of one person are unified if `artist_key` does not do so.

The column `measured` has the splits of docs/accuracy.md: the training paintings of `base` are one gallery, train, and
photographs that seem to show one of them are a separate split, same_as. The column `kind` marks the
sculptures that we found by eye (sculptures.txt): ten in the training set, 121 in val_unseen, one in strangers_away.

    artidx evaluate OUTPUT.csv --model base --split-column measured
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

SCULPTURES = frozenset(Path(__file__).with_name("sculptures.txt").read_text().split())  # ids
ADDRESSES = {
    r"^(?P<artist>[^/]+)/wa_(?P<name>[^/]+)\.\w+$": "https://www.wikiart.org/en/{artist}/{name}",
    r"/wikidata-(?P<item>Q\d+)\.\w+$": "https://www.wikidata.org/wiki/{item}",
    r"/met[-_](?P<object>\d+)\.\w+$": "https://www.metmuseum.org/art/collection/search/{object}",
    r"^aic/[^/]+/(?P<object>\d+)\.\w+$": "https://www.artic.edu/artworks/{object}",
}


def address(name: str) -> str:
    """The web address of a painting, from the name of its file; empty if that has none."""
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
    both["kind"] = both["id"].isin(SCULPTURES).map({True: "sculpture", False: ""})
    return both.drop(columns="filename")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    joined(Path(sys.argv[1]).resolve()).to_csv(sys.argv[2], index=False)
