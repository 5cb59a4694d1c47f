"""What we got is kept outside the tree, whole or not at all, verified before use.

<cache>/tools/packer-1.15.4/packer          the program
<cache>/tools/packer-1.15.4/manifest.json   its sha256, and where it is from
<cache>/tools/packer-1.15.4/checked.json    its sha256 when it was last read
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from olrunbook.errors import OlrunbookError, ToolError
from olrunbook.record.files import fsync_path, sha256_file, write_atomic
from olrunbook.toolchain.model import How, ToolFound
from olrunbook.toolchain.pins import Pin

MANIFEST = "manifest.json"
CHECKED = "checked.json"
SCHEMA = "olrunbook/tool/1"


class Cache:
    """The tools we keep for one user, in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root / "tools"
        self.build = root / "build"
        self.logs = root / "logs"

    def folder(self, pin: Pin) -> Path:
        """Return where a tool is kept."""
        return self.tools / f"{pin.name}-{pin.version}"

    def get(self, pin: Pin) -> ToolFound | None:
        """Return a tool whose file is the one that was kept, or None.

        Raises:
            ToolError: The file differs from what its manifest says.

        """
        folder = self.folder(pin)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            program = folder / manifest["program"]
            wanted = str(manifest["sha256"])
            host = str(manifest.get("host", ""))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{folder / MANIFEST} cannot be used: {type(error).__name__}"
            raise ToolError(msg, self._anew(folder)) from None
        how: How = "downloaded" if host else "built"
        found = self._sha256(folder, program)
        if found != wanted:
            msg = f"{program} is not what was {how}: sha256 {found}, {how} {wanted}"
            raise ToolError(msg, self._anew(folder))
        plugins = folder / at if (at := manifest.get("plugins")) else None
        facts = {"name": pin.name, "version": pin.version, "sha256": wanted}
        return ToolFound(path=program, how=how, host=host, plugins=plugins, **facts)

    @staticmethod
    def _sha256(folder: Path, program: Path) -> str:
        """Return a program's sha256, read anew only where the file was touched.

        The tools are 400 MB, a second for each command. Every write, and every setting
        of its times, moves the time of a file's last change (ctime).
        """
        try:
            now = program.stat()
        except OSError:
            return "none: the file is gone"
        mark = [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino]
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            known = json.loads((folder / CHECKED).read_text(encoding="utf-8"))
            if known["mark"] == mark:
                return str(known["sha256"])
        try:
            found = sha256_file(program)
        except OSError as error:
            return f"none: {error.strerror}"
        with contextlib.suppress(OSError):  # not ours to write: read again next time
            write_atomic(folder / CHECKED, json.dumps({"mark": mark, "sha256": found}))
        return found

    @staticmethod
    def _anew(folder: Path) -> str:
        return f"Find out why, then remove {folder}: it is made anew."

    def put(
        self, pin: Pin, fill: Callable[[Path], None], made: dict[str, Any]
    ) -> ToolFound:
        """Keep and verify a tool; its folder appears whole or not at all.

        `fill` is called with a path in a new folder and makes the program there. `made`
        is how, for the manifest; it is read after that.
        """
        self.tools.mkdir(parents=True, exist_ok=True)
        fresh = self.tools / f".new-{pin.name}-{os.getpid()}"
        final = self.folder(pin)
        shutil.rmtree(fresh, ignore_errors=True)
        program = fresh / pin.filled(pin.program)
        program.parent.mkdir(parents=True)
        try:
            fill(program)
            at = program.relative_to(fresh)
            if len(at.parts) > 1:  # Packer wants a plugin's digest beside it
                beside = program.with_name(f"{program.name}_SHA256SUM")
                beside.write_text(f"{sha256_file(program)}\n", encoding="utf-8")
                made["plugins"] = at.parts[0]
            manifest = {
                "schema": SCHEMA,
                "name": pin.name,
                "version": pin.version,
                "program": str(at),
                "sha256": sha256_file(program),
                "size": program.stat().st_size,
                **made,
            }
            text = json.dumps(manifest, indent=1) + "\n"
            (fresh / MANIFEST).write_text(text, encoding="utf-8")
            for path in (program, fresh / MANIFEST, fresh):
                fsync_path(path)
            shutil.rmtree(final, ignore_errors=True)  # it has no manifest: half removed
            fresh.rename(final)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        found = self.get(pin)
        assert found is not None
        return found

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Let one process build at a time; remove what a killed one left.

        `waiting` is called once when another is building; None: do not wait.

        Raises:
            OlrunbookError: The folder cannot be written.
            BlockingIOError: Another process is building, and is not waited for.

        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = (self.root / "build.lock").open("a", encoding="utf-8")
        except OSError as error:
            msg = f"{self.root}: {error.strerror}"
            hint = "Set OLRUNBOOK_CACHE to a folder that can be written."
            raise OlrunbookError(msg, hint) from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is None:
                    raise
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            for left in self.tools.glob(".new-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
