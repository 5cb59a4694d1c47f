"""Drive JupyterLab in headless Chromium: a quiet server, one notebook, Run All."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_S = 90
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/completer-extension:manager": {"autoCompletion": False},
    # Cells outside the view would not be in the page.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
CHROMIUM = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@contextmanager
def server(
    command: Sequence[str], root: Path, env: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, str]]:
    """Start JupyterLab with settings of its own; yield its address and token.

    Args:
        command: What starts it; port and `--no-browser` are added.
        root: Where it is started.
        env: Its environment.
        folder: An empty folder for its settings and its log.

    """
    settings = folder / "labconfig"
    settings.mkdir(parents=True)
    (settings / "default_setting_overrides.json").write_text(json.dumps(OVERRIDES))
    page = '{"buildCheck": false, "buildAvailable": false, "exposeAppInBrowser": true}'
    (settings / "page_config.json").write_text(page)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    own = {
        **env,
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(folder),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "user"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [*command, "--no-browser", f"--port={port}"],
        cwd=root,
        env=own,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{base}/api/status?token={token}", process, folder / "server.log")
        yield base, token
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()  # a kernel that still starts can keep it
            process.wait()
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_S
    while True:
        try:
            # S310: our own server on loopback
            urllib.request.urlopen(url, timeout=2).read()  # noqa: S310
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        else:
            return


class Page:
    """One notebook open in JupyterLab.

    Args:
        browser: Playwright's browser.
        base: The server's address.
        token: Its token.
        notebook: Path of the notebook under the server's root.

    """

    def __init__(self, browser: Any, base: str, token: str, notebook: str) -> None:
        self.page = browser.new_page(viewport={"width": 1200, "height": 1400})
        self.outside: list[str] = []
        allowed = (base, base.replace("http", "ws"), "data:", "blob:")

        def note(request: Any) -> None:
            if not request.url.startswith(allowed):
                self.outside.append(request.url)

        self.page.on("request", note)
        space = secrets.token_hex(3)
        path = f"/doc/workspaces/t{space}/tree/{notebook}?token={token}&reset"
        self.page.goto(base + path)
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=120_000)
        # The session, not the icon: a run sent earlier opens "Select Kernel".
        self.page.evaluate(
            """async () => {
                const s = window.jupyterapp.shell.currentWidget.sessionContext;
                await s.ready; await s.session.kernel.info; }"""
        )

    def set_parameters(self, source: str) -> None:
        """Replace the text of the parameters cell."""
        self.page.evaluate(
            """text => {
                const cells = window.jupyterapp.shell.currentWidget.content.widgets;
                const cell = cells.find(c =>
                    (c.model.getMetadata('tags') || []).includes('parameters'));
                cell.model.sharedModel.setSource(text); }""",
            source,
        )

    def run_all(self) -> None:
        """Run every cell."""
        self.page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
        )

    def wait_for(self, text: str, timeout_s: float) -> None:
        """Wait until an output shows a text."""
        found = self.page.locator(".jp-OutputArea-output", has_text=text).last
        found.wait_for(timeout=timeout_s * 1000)

    def errors(self) -> list[str]:
        """Return the tracebacks shown."""
        shown: list[str] = self.page.locator(
            '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
        ).all_inner_texts()
        return shown


def chromium() -> str:
    """Return where Debian's Chromium is."""
    return os.environ.get("CHROMIUM", "/usr/bin/chromium")
