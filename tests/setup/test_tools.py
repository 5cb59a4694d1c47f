"""The tools: what the toolchain says is told as steps."""

from __future__ import annotations

import io
from pathlib import Path

from setup import tools
from setup.report import Report


def test_each_tool_is_a_step_told_by_the_toolchain(
    report: Report, out: io.StringIO, tmp_path: Path
) -> None:
    """What the toolchain says in JSON is shown; the rest is in the log."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        "echo 'some chatter'\n"
        """echo '{"tool": "x", "state": "doing", "text": "building"}'\n"""
        """echo '{"tool": "x", "state": "built", "text": "built in 3 s"}'\n"""
        """echo '{"tool": "x", "state": "found", "text": "1.0, built"}'\n"""
    )
    python.chmod(0o755)
    tools.ensure(report, python, tmp_path)
    lines = out.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["packer", "done"],
        ["packer-plugin-amazon", "done"],
        ["pulumi", "done"],
    ]
    assert "built in 3 s" in lines[0]
