"""Convert files of older formats to today's keys; the numbers are unchanged. No other module knows the old keys.

    calibration    version 3 -> 4    in the metadata of models, in manifests and in exported vectors
    manifest       format 2 -> 4, 3 -> 4    of which the segments have no columns to be looked up in place
    export         format 1 -> 2     the manifest of exported vectors

Anything else is returned unchanged: its reader reports what is wrong.
"""

from __future__ import annotations

from typing import Any

PAIRS = {"by_separation": "by_fused_distance", "disagreement": "neighbourhood_weight"}
ARTISTS = {"crowding": "count_penalty", "prominence": "prior_exponent"}
CENTRE = {"centre_people": "centre_artists"}
HELD_OUT = ", whom the model had not learnt when it was measured"  # in the first models; people read this text


def calibration(found: Any) -> Any:
    """The calibration in version 4, and what it was measured on in today's words."""
    if not isinstance(found, dict):
        return found
    if found.get("version") == 3:
        found = found | {
            "version": 4,
            "pairs": _renamed(found.get("pairs"), PAIRS),
            "artists": _renamed(found.get("artists"), ARTISTS),
        }
    return found | {name: _reworded(part) for name, part in found.items() if name in ("pairs", "outside", "artists")}


def manifest(found: Any) -> Any:
    """The manifest in format 4, with its calibration in version 4."""
    if isinstance(found, dict) and found.get("format") == 2:
        found = _renamed(found, CENTRE) | {"format": 4}
    if isinstance(found, dict) and found.get("format") == 3:
        found = found | {"format": 4}
    return _with_calibration(found)


def export(found: Any) -> Any:
    """The export in format 2, with its calibration in version 4."""
    if isinstance(found, dict) and found.get("format") == 1:
        found = _renamed(found, CENTRE) | {"format": 2}
    return _with_calibration(found)


def _with_calibration(found: Any) -> Any:
    """The calibration of a generation may come from an older model file."""
    if isinstance(found, dict) and "calibration" in found:
        return found | {"calibration": calibration(found["calibration"])}
    return found


def _reworded(part: Any) -> Any:
    if not isinstance(part, dict) or not isinstance(part.get("measured_on"), str):
        return part
    return part | {"measured_on": part["measured_on"].replace(HELD_OUT, ", held out when the model was measured")}


def _renamed(found: Any, keys: dict[str, str]) -> Any:
    return {keys.get(name, name): value for name, value in found.items()} if isinstance(found, dict) else found
