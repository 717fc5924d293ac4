"""Examples of answers for the OpenAPI description: from the museum's paintings, with lists cut short."""

from __future__ import annotations

from typing import Any


def _painting(number: str, artist: str, title: str, year: int) -> dict[str, Any]:
    return {
        "id": number,
        "path": f"{number}.jpg",
        "artist": artist,
        "title": title,
        "year": year,
        "attribution": artist,
        "object": None,
        "url": None,
    }


VERDICT: dict[str, Any] = {
    "same": True,
    "distance": 0.2055,
    "threshold": 0.9437,
    "false_positive_rate": 0.1,
    "probability": 0.9955,
    "probability_by_distance": 0.9973,
    "neighbourhood_similarity": 0.9929,
    "prior": 0.5,
    "a": {
        "name": "459083",
        "painting": _painting("459083", "Gerard ter Borch the Younger", "Burgomaster Jan van Duren (1613–1687)", 1666),
        "artists": [
            {
                "artist": "Goya (Francisco de Goya y Lucientes)",
                "probability": 0.0525,
                "paintings": [
                    {
                        "painting": _painting(
                            "436545",
                            "Goya (Francisco de Goya y Lucientes)",
                            "Manuel Osorio Manrique de Zuñiga (1784–1792)",
                            1787,
                        ),
                        "distance": 0.5873,
                    }
                ],
                "works": 1,
            }
        ],
        "unknown": 0.6465,
        "sculpture": 0.0,
    },
    "b": {
        "name": "459084",
        "painting": _painting("459084", "Gerard ter Borch the Younger", "Margaretha van Haexbergen (1614–1676)", 1666),
        "artists": [
            {
                "artist": "Rembrandt (Rembrandt van Rijn)",
                "probability": 0.0898,
                "paintings": [
                    {
                        "painting": _painting(
                            "459082", "Rembrandt (Rembrandt van Rijn)", "Portrait of Gerard de Lairesse", 1665
                        ),
                        "distance": 0.5337,
                    }
                ],
                "works": 1,
            }
        ],
        "unknown": 0.6274,
        "sculpture": 0.0,
    },
    "shared": [
        {
            "painting": _painting(
                "436545", "Goya (Francisco de Goya y Lucientes)", "Manuel Osorio Manrique de Zuñiga (1784–1792)", 1787
            ),
            "distance_a": 0.5873,
            "distance_b": 0.5756,
        }
    ],
    "measured_on": "all pairs of 1,059 paintings by 40 artists (val_unseen), held out when the model was measured",
    "model": "79e410749d406db7147e342ed8c91f59aedbe331e676a5f438c364be425f580a",
    "generation": 2,
    "one_picture": None,
    "is_too_sure": False,
    "summary": {
        "words": "very likely",
        "headline": "Very likely that one artist painted both: the probability is >99%.",
        "notes": [],
        "details": [
            "Of 100 pairs like this one more than 99 would be by one artist, if 50% of the pairs you ask about are "
            "(the prior)."
        ],
    },
}

ANSWER: dict[str, Any] = {
    "query": "437430",
    "artists": [
        {
            "artist": "Auguste Renoir",
            "probability": 0.4115,
            "paintings": [
                {"painting": _painting("459110", "Auguste Renoir", "Young Girl Bathing", 1892), "distance": 0.389}
            ],
            "works": 3,
        }
    ],
    "unknown": 0.382,
    "paintings": [{"painting": _painting("459110", "Auguste Renoir", "Young Girl Bathing", 1892), "distance": 0.389}],
    "searched": 168,
    "approximate": False,
    "model": "79e410749d406db7147e342ed8c91f59aedbe331e676a5f438c364be425f580a",
    "generation": 2,
    "one_picture": [],
    "painting": _painting("437430", "Auguste Renoir", "By the Seashore", 1883),
    "recorded_works": 3,
    "sculpture": 0.0,
    "summary": {
        "words": "undecided",
        "headline": "Undecided: Auguste Renoir 41%, none of the artists here 38%.",
        "notes": ["The record says Auguste Renoir; the pictures agree."],
        "details": ["None of the artists here: 38%, if half of the paintings you ask about are by others."],
    },
}
