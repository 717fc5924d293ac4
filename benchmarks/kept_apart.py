"""Write the table in docs/benchmark.md: models compared on the paintings that `base` and `small` were not trained on.

    python benchmarks/kept_apart.py PAINTINGS docs/benchmark.md MODEL ... [--work FOLDER]

PAINTINGS: as all_origins.py takes it. Each MODEL is base, small or a file; the others are compared with the first. The
text between the two comments in the page is replaced. Vectors are kept in FOLDER, by default benchmark-work, so that
only a changed model embeds again. The queries are the splits val_unseen, val_seen and val_away, without photographs
that seem to show a training painting, each painting being searched among all others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from all_origins import joined

from artidx import read_catalog
from artidx.files import write_atomically
from artidx.index.measure.benchmark import NAMES, Benchmark, Part, Score, benchmark

BEGIN, END = "<!-- written by benchmarks/kept_apart.py -->\n", "<!-- to here -->\n"
SPLITS = ("val_unseen", "val_seen", "val_away")


def cell(score: Score) -> str:
    """`0.940 (0.913 to 0.962)`, and below it the difference from the first model."""
    if score.value != score.value:
        return "-"
    low, high = score.interval
    text = f"{score.value:.3f} ({low:.3f} to {high:.3f})"
    if score.difference is None or score.difference_interval is None:
        return text
    low, high = score.difference_interval
    return f"{text}<br>{score.difference:+.3f} ({low:+.3f} to {high:+.3f})"


def table(part: Part, names: list[str]) -> str:
    title = "all together" if part.part == "all" else part.part
    counted = (
        f"{title}: {part.paintings:,} paintings by {part.artists:,} artists, {part.same_pairs:,} same-artist pairs"
    )
    rows = [
        f"| {name} | " + " | ".join(cell(score) for score in part.scores[key]) + " |" for key, name in NAMES.items()
    ]
    return "\n".join([f"| {counted} | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}", *rows])


def as_markdown(found: Benchmark) -> str:
    names = [model.name for model in found.models]
    about = ",\n".join(f"{model.name} {model.sha256[:12]} ({model.dim} numbers)" for model in found.models)
    return "\n\n".join([f"Models: {about}.", *(table(part, names) for part in found.parts)]) + "\n\n"


def compared(paintings: Path, models: list[str], work: Path) -> Benchmark:
    everything = joined(paintings)
    asked = everything[everything["measured"].isin(SPLITS)]
    asked = asked.assign(source=asked["measured"])[["id", "path", "artist", "source"]]
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "kept-apart.csv"
        asked.to_csv(catalog, index=False)
        return benchmark(read_catalog(str(catalog)), models, work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--work", type=Path, default=Path("benchmark-work"))
    given = parser.parse_args()
    before, _, rest = given.page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{given.page}: has no line {BEGIN.strip()} with {END.strip()} after it")
    found = compared(given.paintings.resolve(), given.models, given.work)
    write_atomically(given.page, f"{before}{BEGIN}\n{as_markdown(found)}{END}{after}".encode())


if __name__ == "__main__":
    main()
