"""Answers and findings as a IIIF manifest (Presentation 3), which a viewer such as Mirador shows with the pictures.

Its canvases are the museums' own, by the addresses that the index keeps for paintings that came as IIIF
(embedder/catalogs/iiif.py). Answers are annotations on them, so they also fit the museum's own manifest. Other
paintings have no address of a picture; they are counted. Our own resources are named by UUIDs made of their content,
since it is unknown where they will be published.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import BadSetting
from ...files import write_atomically
from ..answers.search import Answer
from ..answers.verify import Verdict
from ..answers.wording import Summary, percent
from ..storage.vector_store import Painting, VectorStore
from .findings import DOUBTFUL, DUPLICATE, UNATTRIBUTED, Candidate, Finding, Review

Said = dict[str, list[str]]  # id of a painting -> its annotations
CONTEXT = "http://iiif.io/api/presentation/3/context.json"
KINDS = {
    DUPLICATE: "Photographs that show the same picture, or the same composition",
    DOUBTFUL: "Doubtful attributions",
    UNATTRIBUTED: "Works without an artist, or with a qualified attribution",
}
FULL = {"ImageService3": "max"}  # the keyword for the full size; `full` on older servers


def write_review(review: Review, store: VectorStore, target: Path) -> tuple[int, int]:
    """Write the findings, one range per kind. Returns how many paintings are shown, and how many have no address.

    Writes nothing if none has one.
    """
    said: Said = {}
    ranges: dict[str, list[str]] = {}
    for finding in review.findings:
        for painting in finding.paintings:
            said.setdefault(painting.id, []).append(_sentence(finding))
            ranges.setdefault(KINDS[finding.kind], []).append(painting.id)
    facts = {"Index": f"{review.index}, generation {review.generation}", "Made": f"{review.made} UTC"}
    return _write(f"Findings in {review.index}", {**facts, "Model": review.model}, said, ranges, store, target)


def write_nearest(answer: Answer, painting: Painting | None, store: VectorStore, target: Path) -> tuple[int, int]:
    """Write the answer of `artidx nearest`. painting: of the index, if the query was one.

    Raises BadSetting if no painting has an address.
    """
    said: Said = {painting.id: _sentences(answer.summary)} if painting else {}
    for artist in answer.artists:
        for each in artist.paintings:
            words = (
                f"{each.distance:.3f} from {answer.query}; speaks for {artist.artist}, {percent(artist.probability)}"
            )
            said.setdefault(each.painting.id, []).append(words)
    for each in answer.paintings:
        said.setdefault(each.painting.id, [f"{each.distance:.3f} from {answer.query}"])
    facts = _facts(store, answer.model, answer.generation) | _as_facts(answer.summary)
    return _required(_write(f"Who might have painted {answer.query}?", facts, said, {}, store, target), target)


def write_pair(verdict: Verdict, store: VectorStore, target: Path) -> tuple[int, int]:
    """Write the answer of `artidx pair`. Raises BadSetting if no painting has an address."""
    said: Said = {side.painting.id: _sentences(verdict.summary) for side in (verdict.a, verdict.b) if side.painting}
    for each in verdict.shared:
        words = f"{each.distance_a:.3f} from {verdict.a.name}, {each.distance_b:.3f} from {verdict.b.name}"
        said.setdefault(each.painting.id, []).append(words)
    facts = _facts(store, verdict.model, verdict.generation) | _as_facts(verdict.summary)
    label = f"Were {verdict.a.name} and {verdict.b.name} painted by one artist?"
    return _required(_write(label, facts, said, {}, store, target), target)


def _required(counts: tuple[int, int], target: Path) -> tuple[int, int]:
    if not counts[0]:
        raise BadSetting(f"{target}: no painting of this answer came from a IIIF manifest; write a page, NOTE.html")
    return counts


def _write(
    label: str,
    facts: Mapping[str, str],
    said: Said,
    ranges: Mapping[str, Sequence[str]],
    store: VectorStore,
    target: Path,
) -> tuple[int, int]:
    canvases = {name: canvas for name, words in said.items() if (canvas := _canvas(name, words, store)) is not None}
    if not canvases:
        return 0, len(said)
    manifest: dict[str, Any] = {
        "@context": CONTEXT,
        "id": _name(label, *facts.values()),
        "type": "Manifest",
        "label": _text(label),
        "metadata": [{"label": _text(name), "value": _text(value)} for name, value in facts.items()],
        "items": [*canvases.values()],
    }
    if shown := {kind: [each for each in ids if each in canvases] for kind, ids in ranges.items()}:
        manifest["structures"] = [
            {
                "id": _name(label, kind),
                "type": "Range",
                "label": _text(kind),
                "items": [{"id": canvases[each]["id"], "type": "Canvas"} for each in dict.fromkeys(ids)],
            }
            for kind, ids in shown.items()
            if ids
        ]
    write_atomically(target, json.dumps(manifest, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))
    return len(canvases), len(said) - len(canvases)


def _canvas(name: str, words: Sequence[str], store: VectorStore) -> dict[str, Any] | None:
    """A painting as a canvas with its annotations; None if the address of its picture is unknown."""
    painting = store.rows(store.places("id", name)[:1]).iloc[0].to_dict()
    address, size = painting.get("canvas"), painting.get("canvas_size")
    image = _image(str(painting.get("image_service") or ""), str(painting["path"]))
    if not (isinstance(address, str) and isinstance(size, str) and size and image):
        return None
    width, height = (int(side) for side in size.split("x"))
    caption = ", ".join(str(painting[key]) for key in ("artist", "title") if isinstance(painting[key], str))
    canvas: dict[str, Any] = {
        "id": address,
        "type": "Canvas",
        "label": _text(f"{name}: {caption}" if caption else name),
        "width": width,
        "height": height,
        "items": [_page(address, "picture", [image | {"width": width, "height": height}], "painting")],
        "annotations": [_page(address, "said", [*_bodies(words)], "commenting")],
    }
    if isinstance(painting.get("manifest"), str):
        canvas["partOf"] = [{"id": painting["manifest"], "type": "Manifest"}]
    return canvas


def _image(service: str, path: str) -> dict[str, Any] | None:
    kind, _, address = service.partition(" ")
    if not address:
        return {"id": path, "type": "Image"} if path.startswith("https://") else None
    names = ("id", "type") if kind == "ImageService3" else ("@id", "@type")
    return {
        "id": f"{address}/full/{FULL.get(kind, 'full')}/0/default.jpg",
        "type": "Image",
        "format": "image/jpeg",
        "service": [{**dict(zip(names, (address, kind), strict=True)), "profile": "level1"}],
    }


def _page(canvas: str, name: str, bodies: Sequence[dict[str, Any]], motivation: str) -> dict[str, Any]:
    return {
        "id": _name(canvas, name),
        "type": "AnnotationPage",
        "items": [
            {
                "id": _name(canvas, name, str(number), json.dumps(body)),
                "type": "Annotation",
                "motivation": motivation,
                "body": body,
                "target": canvas,
            }
            for number, body in enumerate(bodies)
        ],
    }


def _bodies(words: Sequence[str]) -> Iterator[dict[str, Any]]:
    for each in words:
        yield {"type": "TextualBody", "value": each, "format": "text/plain", "language": "en"}


def _sentence(finding: Finding) -> str:
    if finding.picture is not None:
        records = " and ".join(record or "no artist" for record in dict.fromkeys(finding.records))
        return f"{' and '.join(finding.objects)} {finding.picture.says}. Recorded: {records}."
    names = _named(finding.candidates)
    rather = f"rather {names}" if finding.for_recorded else names
    elsewhere = f" In the reference gallery: {_named(finding.reference)}." if finding.reference else ""
    return f"Recorded: {finding.recorded or 'no artist'}; {rather}.{elsewhere}"


def _named(candidates: Sequence[Candidate]) -> str:
    return (
        ", ".join(f"{each.artist} {percent(each.probability)}" for each in candidates[:3]) or "no artist of the index"
    )


def _sentences(summary: Summary | None) -> list[str]:
    return [] if summary is None else [" ".join([summary.headline, *summary.notes])]


def _as_facts(summary: Summary | None) -> dict[str, str]:
    return {} if summary is None else {"Answer": summary.headline}


def _facts(store: VectorStore, model: str, generation: int) -> dict[str, str]:
    return {"Index": f"{store.name}, generation {generation}", "Model": model}


def _text(words: str) -> dict[str, list[str]]:
    return {"en": [words]}


def _name(*parts: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, "\0".join(parts)).urn
