"""Files in the user's Puter, and raw driver calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.doors.base import Doors, share_docstrings
from puter.operations import files, raw

if TYPE_CHECKING:
    from puter.sources import PuterFile, Source


class FileDoors(Doors):
    """Files in the user's Puter, and raw calls."""

    def upload(
        self,
        source: Source,
        path: str | PuterFile | None = None,
        *,
        overwrite: bool = False,
    ) -> PuterFile:
        """Put a file into your Puter.

        Args:
            source: A path on this machine, bytes, an open file and the like; 37 MiB at most.
            path: Where to: absolute, or under ``~/``; a folder ends with ``/``. Default:
                ``~/Documents/`` and the file's own name.
            overwrite: Replace what is there. Default False.

        Returns:
            The file, usable in ``files=`` and ``images=``.

        Raises:
            PuterInputError: The source or the path cannot be used; nothing was sent.
            PuterBadRequestError: There is such a file already.
            PuterError: Anything else the server refused.

        Examples:
            >>> cat = ai.upload("cat.jpg")  # doctest: +SKIP
            >>> ai.chat("What is this?", "claude-haiku-4-5", images=cat)  # doctest: +SKIP
        """
        return self._run(files.upload, source, path, overwrite=overwrite)

    async def async_upload(
        self,
        source: Source,
        path: str | PuterFile | None = None,
        *,
        overwrite: bool = False,
    ) -> PuterFile:
        return await self._async_run(files.upload, source, path, overwrite=overwrite)

    def read_file(self, path: str | PuterFile) -> bytes:
        """The bytes of a file in your Puter.

        Raises:
            PuterNotFoundError: There is none, or the token may not see it.

        Examples:
            >>> ai.read_file("~/Documents/notes.txt")  # doctest: +SKIP
        """
        return self._run(files.read_file, path)

    async def async_read_file(self, path: str | PuterFile) -> bytes:
        return await self._async_run(files.read_file, path)

    def stat_file(self, path: str | PuterFile) -> PuterFile:
        """What your Puter says of a file: size, type and more in ``.raw``.

        Raises:
            PuterNotFoundError: There is none, or the token may not see it.

        Examples:
            >>> ai.stat_file("~/Documents/notes.txt").size  # doctest: +SKIP
            18
        """
        return self._run(files.stat_file, path)

    async def async_stat_file(self, path: str | PuterFile) -> PuterFile:
        return await self._async_run(files.stat_file, path)

    def list_files(self, path: str | PuterFile = "~/") -> list[PuterFile]:
        """What is in a folder of your Puter. Default: the home folder.

        Raises:
            PuterNotFoundError: There is no such folder, or the token may not see it.

        Examples:
            >>> [one.name for one in ai.list_files()]  # doctest: +SKIP
            ['Desktop', 'Documents', ...]
        """
        return self._run(files.list_files, path)

    async def async_list_files(self, path: str | PuterFile = "~/") -> list[PuterFile]:
        return await self._async_run(files.list_files, path)

    def delete_file(self, path: str | PuterFile, *, recursive: bool = False) -> None:
        """Delete a file of your Puter, or with ``recursive=True`` a folder.

        Raises:
            PuterNotFoundError: There is none, or the token may not see it.

        Examples:
            >>> ai.delete_file("~/Documents/notes.txt")  # doctest: +SKIP
        """
        self._run(files.delete_file, path, recursive=recursive)

    async def async_delete_file(self, path: str | PuterFile, *, recursive: bool = False) -> None:
        await self._async_run(files.delete_file, path, recursive=recursive)

    def call(
        self,
        interface: str,
        method: str,
        args: dict[str, Any] | None = None,
        *,
        driver: str | None = None,
    ) -> Any:
        """Call any driver of Puter's, for what this client has no method for.

        It counts as a call that may be billed, so it is never repeated when its outcome is unknown.

        Args:
            interface: Such as ``"puter-kvstore"``.
            method: Such as ``"set"``.
            args: Its arguments.
            driver: Which driver. Default: the interface's own.

        Returns:
            The ``result`` of an envelope (None when there is none), a list of dicts for a stream of
            lines, a ``Media`` for anything else.

        Raises:
            PuterNotFoundError: There is no such interface, driver or method.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> ai.call("puter-kvstore", "set", {"key": "a", "value": 1})  # doctest: +SKIP
            True
        """
        return self._run(raw.raw_call, interface, method, args, driver)

    async def async_call(
        self,
        interface: str,
        method: str,
        args: dict[str, Any] | None = None,
        *,
        driver: str | None = None,
    ) -> Any:
        return await self._async_run(raw.raw_call, interface, method, args, driver)


share_docstrings(FileDoors)
