"""A format: one name per line."""

from typing import Optional

from wit_world import exports
from wit_world.imports.attrs import Attr
from wit_world.imports.rows import Cursor


class Formatter(exports.Formatter):
    def begin(self, name: str, columns: list[str], options: list[Attr]) -> bytes:
        return b""

    def chunk(self, rows: Cursor) -> Optional[bytes]:
        chunk = rows.next(0)
        if chunk.count == 0:
            return None
        starts = [0, *chunk.ends]
        return b"".join(chunk.data[start:end] + b"\n" for start, end in zip(starts, chunk.ends))
