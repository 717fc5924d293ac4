"""Files of older formats brought to today's keys; the numbers in them are the same. Nowhere else knows the old keys.

    calibration    version 3 -> 4    in the metadata of models, in manifests and in exported vectors
    manifest       format 2 -> 4, 3 -> 4    of which the segments have no columns to be looked up in place
    export         format 1 -> 2     the manifest of exported vectors

What is of no older format is given back as it is: its reader says what is wrong with it.
"""

from __future__ import annotations

from typing import Any

PAIRS = {"by_separation": "by_fused_distance", "disagreement": "neighbourhood_weight"}
ARTISTS = {"crowding": "count_penalty", "prominence": "prior_exponent"}
CENTRE = {"centre_people": "centre_artists"}


def calibration(found: Any) -> Any:
    """As version 4."""
    if not isinstance(found, dict) or found.get("version") != 3:
        return found
    return found | {
        "version": 4,
        "pairs": _renamed(found.get("pairs"), PAIRS),
        "artists": _renamed(found.get("artists"), ARTISTS),
    }


def manifest(found: Any) -> Any:
    """As format 4, its calibration as version 4."""
    if isinstance(found, dict) and found.get("format") == 2:
        found = _renamed(found, CENTRE) | {"format": 4}
    if isinstance(found, dict) and found.get("format") == 3:
        found = found | {"format": 4}
    return _with_calibration(found)


def export(found: Any) -> Any:
    """As format 2, its calibration as version 4."""
    if isinstance(found, dict) and found.get("format") == 1:
        found = _renamed(found, CENTRE) | {"format": 2}
    return _with_calibration(found)


def _with_calibration(found: Any) -> Any:
    """A generation may be made by a model whose file has an older one."""
    if isinstance(found, dict) and "calibration" in found:
        return found | {"calibration": calibration(found["calibration"])}
    return found


def _renamed(found: Any, keys: dict[str, str]) -> Any:
    return {keys.get(name, name): value for name, value in found.items()} if isinstance(found, dict) else found
