"""The embeddings of an index that is being built in Milvus (storage/stage.py): a collection of their own."""

from __future__ import annotations

import numpy as np

from ..storage import stage
from ..storage.stage import Staged
from .address import Address
from .layout import about_schema, stage_name
from .push import READY_S
from .server import ROWS, connected


class Stage(stage.Stage):
    """Of an index of vectors of this length."""

    def __init__(self, address: Address, dim: int) -> None:
        self._server, self.dim = connected(address), dim
        self._name = stage_name(address.collection)

    def is_there(self) -> bool:
        return bool(self._server.ask("has_collection", self._name))

    def make(self) -> None:
        if self.is_there():
            self._server.load(self._name, READY_S)
            return
        parameters = self._server.client.prepare_index_params()
        parameters.add_index("vector", index_type="FLAT", metric_type="IP")  # none is readable without
        self._server.ask(
            "create_collection",
            self._name,
            schema=about_schema(self._server.client, self.dim),
            index_params=parameters,
            consistency_level="Strong",
        )

    def put(self, rows: Staged) -> None:
        entries = zip(rows.numbers.tolist(), rows.texts, rows.vectors, strict=True)
        self._server.ask(
            "upsert", self._name, [{"row": number, "text": text, "vector": vector} for number, text, vector in entries]
        )

    def get(self, numbers: range) -> Staged:
        found = []
        for start in range(numbers.start, numbers.stop, ROWS):
            found += self._server.ask(
                "query",
                self._name,
                filter=f"row >= {start} and row < {min(start + ROWS, numbers.stop)}",
                output_fields=["row", "text", "vector"],
                consistency_level="Strong",
            )
        found.sort(key=lambda row: int(row["row"]))
        return Staged(
            np.array([row["row"] for row in found], np.int64),
            [row["text"] for row in found],
            np.array([row["vector"] for row in found], np.float32).reshape(len(found), -1 if found else self.dim),
        )

    def drop(self) -> None:
        self._server.ask("drop_collection", self._name)
