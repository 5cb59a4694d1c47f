"""JupyterLab as `olrunbook lab` starts it: what is saved is masked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from tornado.web import HTTPError

from olrunbook.cli.lab import (
    ARGUMENTS,
    LAB_VARIABLE,
    environment,
    masking_hook,
    pre_save,
)
from olrunbook.redact import Redactor, new_key

VALUE = "kx8-" + "Quarz-77"


def notebook(source: str, *outputs) -> dict:
    """Return a notebook of one cell as the browser sends it."""
    cell = {
        "cell_type": "code",
        "id": "one",
        "metadata": {},
        "source": source,
        "outputs": list(outputs),
        "execution_count": 1,
    }
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def manager(folder, hook) -> LargeFileManager:
    """Return the server's own contents manager with a hook."""
    return LargeFileManager(root_dir=str(folder), pre_save_hook=hook)


def test_what_the_server_saves_is_masked(tmp_path) -> None:
    """Source and outputs are masked on the disk, by the server's own manager."""
    redactor = Redactor(new_key(), [VALUE])
    html = {"output_type": "display_data", "metadata": {}}
    html["data"] = {"text/html": f"<b>{VALUE}</b>"}
    content = notebook(f"x = '{VALUE}'", html)
    hook = masking_hook(redactor)
    model = {"type": "notebook", "format": "json", "content": content}
    manager(tmp_path, hook).save(model, "/a.ipynb")
    text = (tmp_path / "a.ipynb").read_text()
    assert VALUE not in text
    assert text.count(redactor.mask(VALUE)) == 2


def test_a_notebook_that_is_saved_as_text_is_masked(tmp_path) -> None:
    """The text editor writes the same file; other files are the user's own."""
    hook = masking_hook(Redactor(new_key(), [VALUE]))
    for name in ("a.ipynb", "notes.txt"):
        model = {"type": "file", "format": "text"}
        model["content"] = json.dumps(notebook(VALUE))
        manager(tmp_path, hook).save(model, f"/{name}")
    assert VALUE not in (tmp_path / "a.ipynb").read_text()
    assert VALUE in (tmp_path / "notes.txt").read_text()


def test_what_cannot_be_masked_is_not_saved(tmp_path) -> None:
    """A fault of ours refuses the save; the server would save in spite of others."""

    class Broken(Redactor):
        def tree(self, node):
            msg = "broken"
            raise RuntimeError(msg)

    model = {"type": "notebook", "format": "json", "content": notebook(VALUE)}
    with pytest.raises(HTTPError, match="could not be masked"):
        manager(tmp_path, masking_hook(Broken(new_key()))).save(model, "/a.ipynb")
    assert not (tmp_path / "a.ipynb").exists()


def test_the_server_takes_our_hook_from_its_command_line(tmp_path) -> None:
    """What `olrunbook lab` gives the server makes it load the hook by its name."""
    program = (
        "import sys; from jupyter_server.serverapp import ServerApp\n"
        "app = ServerApp(); app.initialize(sys.argv[1:], new_httpserver=False)\n"
        "print(app.contents_manager.pre_save_hook.__module__)"
    )
    root = "--allow-root"
    argv = [sys.executable, "-c", program, root, f"--ServerApp.root_dir={tmp_path}"]
    said = subprocess.run(
        [*argv, *ARGUMENTS], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == pre_save.__module__


def test_kernels_keep_no_history(tmp_path) -> None:
    """A kernel with the server's environment writes no input to a history file."""
    env = environment(tmp_path, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert env[LAB_VARIABLE] == "1"
    program = (
        "import os; from ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance(); app.initialize([])\n"
        "os._exit(7 if app.shell.history_manager.enabled else 0)"
    )
    argv = [sys.executable, "-c", program]
    said = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, check=False)
    assert said.returncode == 0
    assert not list(tmp_path.rglob("history.sqlite"))
