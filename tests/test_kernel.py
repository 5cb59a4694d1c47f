"""The kernel of a headless run: how it is joined."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from olrunbook.engine import kernel as kernel_module
from olrunbook.engine.kernel import Kernel


@pytest.fixture(params=["short", "long" * 24])
def kernel(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kernel]:
    """Return a kernel that boots, whatever the temporary folder is called."""
    (tmp_path / request.param).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / request.param))
    kernel = Kernel(tmp_path, {})
    yield kernel
    if kernel.process.poll() is None:
        kernel.process.kill()
        kernel.process.wait()
    kernel.clean()
    assert not kernel.folder.exists()
    assert not kernel.sockets.exists()


def test_a_kernel_is_asked_once_and_heard_from_then_on(kernel, eventually) -> None:
    """It may answer before its outputs can be heard: that they can is waited for."""
    outputs = kernel.sockets / "k-2"
    eventually(outputs.exists)
    away = outputs.rename(kernel.sockets / "away")  # nobody can join them

    def back() -> None:
        eventually(lambda: kernel.language_info)  # it has answered
        away.rename(outputs)

    with ThreadPoolExecutor(1) as pool:
        moved = pool.submit(back)
        client = kernel.client()
        moved.result()
    try:
        assert client.session.message_count == 1
        sent = client.execute("print('heard')")
        said = ""
        while said != "heard\n":
            message = client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == sent:
                said = message["content"].get("text", "")
    finally:
        client.stop_channels()
        client.context.destroy(linger=0)
        kernel.stop(60)


def test_a_kernel_is_asked_again_where_the_question_was_lost(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One question that gets no answer is not the end of a run."""
    asked, ask = list[str](), BlockingKernelClient.kernel_info

    def lose_the_first(client: BlockingKernelClient) -> None:
        asked.append("asked")
        if len(asked) > 1:
            ask(client)

    monkeypatch.setattr(kernel_module, "AGAIN_S", 0.5)
    monkeypatch.setattr(BlockingKernelClient, "kernel_info", lose_the_first)
    client = kernel.client()
    client.stop_channels()
    client.context.destroy(linger=0)
    kernel.stop(60)
    assert len(asked) > 1
    assert kernel.language_info["name"] == "python"
