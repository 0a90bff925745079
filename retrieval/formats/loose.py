"""Pictures and captions that are files of their own below one folder; what cannot be read comes as the reason."""

from __future__ import annotations

import codecs
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import MAX_CAPTION
from oddpair.retrieval.stores import identify_file

MAX_BYTES = 1 << 28

_CHUNK = 1 << 18
_MISSING = "no such file"


class LooseFiles:
    """The files of one folder by name."""

    def __init__(self, root: Path, *, outside: bool) -> None:
        self._root = root
        # Only a local folder has links, and only of a name that the user did not give must they stay inside.
        self._inside = root.resolve() if isinstance(root, Path) and not outside else None
        self._folders: dict[Path, Path] = {}

    def find(self, name: str) -> Path | str:
        """Return the path of a file; of a local one that is not there or no plain file, the reason.

        Raises:
            Refusal: If a link leads outside the folder.
        """
        path = self._root / name
        if not isinstance(path, Path):
            return path
        try:
            if not path.is_file():
                return _MISSING
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if self._inside is not None and not self._place(path).is_relative_to(self._inside):
            raise Refusal(f"{path} is a link to a file which is outside {self._root}: copy the file there")
        return path

    def check(self, name: str) -> bytes | str:
        """Return nothing of a file that is there, and the reason of one that is not."""
        path = self.find(name)
        if isinstance(path, str):
            return path
        # A store is asked; the local file has been looked at.
        return b"" if isinstance(path, Path) or path.is_file() else _MISSING

    def identify(self, name: str) -> str:
        """Return what changes with the content of a file, or the reason why there is none."""
        path = self.find(name)
        if isinstance(path, str):
            return path
        try:
            return identify_file(path)
        except Refusal as refusal:
            if isinstance(refusal.__cause__, FileNotFoundError):
                return _MISSING
            raise

    def read(self, name: str) -> bytes | str:
        """Return the bytes of a picture file, or the reason why there are none.

        An error of a store other than a missing file is raised: what it has is not bad because it cannot be
        reached.
        """
        data = self._read(name, MAX_BYTES + 1)
        if not data:
            return "empty file"
        if len(data) > MAX_BYTES:
            return f"more than {MAX_BYTES >> 20} MiB"
        return data

    def read_caption(self, name: str) -> str | None:
        """Return the text of ``NAME.txt`` beside a picture, trimmed and no longer than is used; ``None`` if there is none.

        What is not UTF-8 comes as lone surrogates.
        """
        longest = 4 * MAX_CAPTION + 4
        data = self._read(name.rpartition(".")[0] + ".txt", longest)
        if isinstance(data, str):
            return None
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        # A text that was cut may end within a letter.
        return decoder.decode(data, final=len(data) < longest).removeprefix("\ufeff").strip()

    def _place(self, path: Path) -> Path:
        # To follow every part of every path takes longer than to read a picture.
        if path.is_symlink():
            return path.resolve()
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = folder.resolve()
        return self._folders[folder]

    def _read(self, name: str, size: int) -> bytes | str:
        path = self.find(name)
        if isinstance(path, str):
            return path
        try:
            with path.open("rb") as file:
                # Asked for all at once, as much memory as might come is taken for every file.
                chunks: list[bytes] = []
                while size > 0 and (chunk := file.read(min(size, _CHUNK))):
                    chunks.append(chunk)
                    size -= len(chunk)
                return b"".join(chunks)
        except FileNotFoundError:
            return _MISSING
        except OSError as error:
            if not isinstance(path, Path):
                raise
            return f"cannot be read ({error.strerror})"
