"""Supervised tools: what they say is masked, and they stop by their policies."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from olrunbook.errors import InterruptedRunError, ToolError
from olrunbook.processes.tool import (
    POLITE,
    PULUMI,
    Command,
    Ended,
    Line,
    StopPolicy,
    Tool,
    merged,
    stopped,
)

ENV = {"PATH": os.environ["PATH"]}
# os.write: a print in a handler fails when it lands in a print that still flushes.
STUBBORN = (
    "import os, signal, time; "
    "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'heard\\n')); "
)
DEAF = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
)


def command(tmp_path: Path, *argv: str, **more) -> Command:
    """Return a command with a log in the test's folder."""
    return Command("tool", argv, tmp_path, ENV, tmp_path / "logs" / "tool.log", **more)


def alive(marker: str) -> list[psutil.Process]:
    """Return the processes whose command line carries a marker."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(marker in part for part in process.info["cmdline"] or [])
    ]


def interrupt_when_up(tool: Tool) -> None:
    """Follow a tool to its end; send ourselves Ctrl-C at its line `up`."""
    with tool:
        for line in tool.lines():
            if line.text == "up":
                os.kill(os.getpid(), signal.SIGINT)


def test_lines_come_masked_and_in_the_log(tmp_path, redactor) -> None:
    """Every line of both streams arrives, masked; the log holds the same."""
    redactor.learn("s3cret-value")
    script = "echo out s3cret-value; echo err >&2; printf 'no newline'"
    with Tool(command(tmp_path, "sh", "-c", script), redactor) as tool:
        lines = list(tool.lines())
    mask = redactor.mask("s3cret-value")
    assert {(x.stream, x.text) for x in lines} == {
        ("stdout", f"out {mask}"),
        ("stderr", "err"),
        ("stdout", "no newline"),
    }
    log = (tmp_path / "logs" / "tool.log").read_text()
    assert f"out {mask}" in log
    assert "s3cret-value" not in log
    assert tool.ended is not None
    assert tool.ended.code == 0


def test_a_secret_on_standard_input_is_in_no_log(tmp_path, redactor) -> None:
    """What is given on standard input reaches the tool and nothing else."""
    redactor.learn("s3cret-value")
    with Tool(command(tmp_path, "wc", "-c", stdin="s3cret-value"), redactor) as tool:
        lines = [line.text.strip() for line in tool.lines()]
    assert lines == ["12"]
    assert "s3cret" not in (tmp_path / "logs" / "tool.log").read_text()


def test_the_exit_code_is_told(tmp_path, redactor) -> None:
    """The tool's own exit code comes back, not the supervisor's."""
    with Tool(command(tmp_path, "sh", "-c", "exit 7"), redactor) as tool:
        list(tool.lines())
    assert tool.ended is not None
    assert tool.ended.code == 7


def test_a_program_that_is_not_there_is_an_error(tmp_path, redactor) -> None:
    """A program that cannot be started is named."""
    with pytest.raises(ToolError, match="no-such-program"):
        Tool(command(tmp_path, "no-such-program"), redactor).__enter__()


def test_an_interrupt_stops_the_tool_by_its_policy(tmp_path, redactor) -> None:
    """Ctrl-C asks the tool once, waits for its end, and says so."""
    script = (
        STUBBORN + "print('up', flush=True); time.sleep(1); print('clean', flush=True)"
    )
    policy = StopPolicy((("SIGINT", 30.0),))
    argv = (sys.executable, "-c", script)
    tool = Tool(command(tmp_path, *argv, policy=policy), redactor)
    with pytest.raises(InterruptedRunError) as caught:
        interrupt_when_up(tool)
    assert tool.ended is not None
    assert tool.ended.code == 0
    assert caught.value.finishing == ()
    log = (tmp_path / "logs" / "tool.log").read_text().splitlines()
    assert log.count("heard") == 1
    assert "clean" in log


def test_a_tool_that_outlives_its_grace_is_named_and_followed(
    tmp_path, redactor, eventually
) -> None:
    """Whoever waits is told what still finishes; the supervisor stays to its end."""
    script = (
        STUBBORN
        + "print('up', flush=True); time.sleep(3); print('late end', flush=True)"
    )
    policy = StopPolicy((("SIGINT", 60.0),), grace_s=0.3)
    argv = (sys.executable, "-c", script)
    tool = Tool(command(tmp_path, *argv, policy=policy), redactor)
    with pytest.raises(InterruptedRunError) as caught:
        interrupt_when_up(tool)
    assert "pid" in caught.value.finishing[0]
    after = tmp_path / "logs" / "tool.after.log"
    eventually(lambda: after.exists() and "ended with code 0" in after.read_text())
    assert "late end" in after.read_text()
    sealed = (tmp_path / "logs" / "tool.log").read_text().splitlines()
    assert "late end" not in sealed


def test_a_tool_that_ignores_everything_is_killed(
    tmp_path, redactor, eventually
) -> None:
    """The policy's last word is SIGKILL where it says so."""
    script = DEAF + "print('up', flush=True); time.sleep(60)"
    policy = StopPolicy((("SIGINT", 0.2), ("SIGTERM", 0.2), ("SIGKILL", 5.0)))
    with Tool(
        command(tmp_path, sys.executable, "-c", script, policy=policy), redactor
    ) as tool:
        for line in tool.lines():
            if line.text == "up":
                tool.stop("test")
    assert tool.ended is not None
    assert tool.ended.code == -signal.SIGKILL


def test_when_the_kernel_is_killed_the_supervisor_stops_the_tool(
    tmp_path, eventually
) -> None:
    """SIGKILL of whoever started it leaves no tool running."""
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from olrunbook.processes.tool import Command, Tool
        from olrunbook.redact import Redactor, new_key
        argv = [sys.executable, "-c", "import time; time.sleep(61.25)"]
        log = Path({str(tmp_path)!r}) / "orphan.log"
        command = Command("tool", argv, Path("/"), {ENV!r}, log)
        with Tool(command, Redactor(new_key())) as tool:
            print("up", flush=True)
            for line in tool.lines():
                pass
        """
    )
    kernel = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == b"up\n"
    assert alive("time.sleep(61.25)")
    kernel.kill()
    kernel.wait()
    kernel.stdout.close()
    eventually(lambda: not alive("time.sleep(61.25)"))
    eventually(
        lambda: (
            "the run that started it is gone" in (tmp_path / "orphan.log").read_text()
        )
    )


def test_a_killed_supervisor_takes_its_tool_along(
    tmp_path, redactor, eventually
) -> None:
    """SIGKILL of the supervisor interrupts the tool, and the caller is told."""
    argv = (
        sys.executable,
        "-c",
        "import time; print('up', flush=True); time.sleep(61.5)",
    )
    with Tool(command(tmp_path, *argv, policy=POLITE), redactor) as tool:
        for _ in tool.lines():
            assert tool._process is not None
            threading.Thread(target=tool._process.kill).start()
    assert tool.ended is not None
    assert tool.ended.code is None
    eventually(lambda: not alive("time.sleep(61.5)"))


def test_the_tool_gets_the_environment_it_was_given_and_no_more(
    tmp_path, redactor
) -> None:
    """Nothing of the caller's shell reaches a tool but what the command says."""
    os.environ["AWS_PROFILE"] = "hostile"
    try:
        with Tool(command(tmp_path, "env"), redactor) as tool:
            names = {line.text.split("=")[0] for line in tool.lines()}
    finally:
        del os.environ["AWS_PROFILE"]
    assert "AWS_PROFILE" not in names
    assert "PATH" in names


def test_what_must_never_be_killed_is_waited_for(tmp_path, redactor) -> None:
    """A policy without a second signal: what the tool left behind ends by itself."""
    done = tmp_path / "done"
    left = f"import time; time.sleep(1.5); open({str(done)!r}, 'w').close()"
    program = (
        "import subprocess, sys; "
        f"subprocess.Popen([sys.executable, '-c', {left!r}], start_new_session=True)"
    )
    call = command(tmp_path, sys.executable, "-c", program, policy=PULUMI)
    with Tool(call, redactor) as tool:
        list(tool.lines())
    assert tool.ended is not None
    assert tool.ended.code == 0
    assert done.exists()


LEAVES = """
mkfifo alive
(trap '' TERM; cat alive; rm -r private) &
exec 4>alive
trap 'exit 1' TERM
sleep 60
"""


def test_what_a_tool_left_may_put_things_in_order(tmp_path, redactor) -> None:
    """A script cannot hear while its child is deaf; who waits for both is not killed.

    So a template of ours removes the builder's key.
    """
    (tmp_path / "private").mkdir()
    start = "import subprocess, sys; subprocess.Popen(['sh', '-c', sys.argv[1]])"
    given = command(tmp_path, sys.executable, "-c", start, LEAVES)
    with Tool(given, redactor) as tool:
        assert list(tool.lines()) == []
    assert not (tmp_path / "private").exists()
    log = (tmp_path / "logs" / "tool.log").read_text()
    assert re.findall(r"pid \d+ (\w+); (\w+) sent", log) == [
        ("sh", "SIGTERM"),
        ("sh", "SIGKILL"),
        ("sh", "SIGTERM"),
        ("sleep", "SIGTERM"),
    ]


def test_what_a_tool_left_may_have_a_name_that_is_no_text(tmp_path, redactor) -> None:
    """It is waited for like any other, and the tool's exit code is not lost."""
    name = os.fsencode(tmp_path) + b"/\xff"
    shutil.copy(shutil.which("sleep"), name)
    left = f"[{name!r}, '1'], stdout=s.DEVNULL, stderr=s.DEVNULL"
    program = f"import subprocess as s; s.Popen({left})"
    call = command(tmp_path, sys.executable, "-c", program, policy=PULUMI)
    with Tool(call, redactor) as tool:
        list(tool.lines())
    assert tool.ended is not None
    assert tool.ended.code == 0


def test_a_tool_hears_what_our_caller_ignores(tmp_path, redactor) -> None:
    """Started with SIGINT ignored, as by `nohup` or a job of a script: it is heard."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        program = "import signal; print(signal.getsignal(signal.SIGINT))"
        tool = Tool(command(tmp_path, sys.executable, "-c", program), redactor)
        with tool:
            said = [line.text for line in tool.lines()]
    finally:
        signal.signal(signal.SIGINT, before)
    assert "default_int_handler" in said[0]


def side_by_side(stack: ExitStack, tmp_path, redactor, **programs: str):
    """Return tools that were started, by name; each has a log of its own."""
    tools = {}
    for name, program in programs.items():
        call = command(tmp_path, sys.executable, "-c", program, policy=POLITE)
        log = tmp_path / "logs" / f"{name}.log"
        tools[name] = stack.enter_context(Tool(replace(call, log=log), redactor))
    return tools


def test_tools_side_by_side_are_heard_as_they_speak(tmp_path, redactor) -> None:
    """Each waits for a word of the other: both work at once, to the end of both."""
    there = "lambda: os.path.exists({!r})"
    wait = f"import os, time; [time.sleep(.01) for _ in iter({there}, True)]"
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    first = f"open({one!r}, 'w'); {wait.format(two)}; print('one'); exit(3)"
    second = f"open({two!r}, 'w'); {wait.format(one)}; print('a'); print('b')"
    with ExitStack() as stack:
        tools = side_by_side(stack, tmp_path, redactor, one=first, two=second)
        said = list(merged(tools))
    texts = [(name, x.text) for name, x in said if isinstance(x, Line)]
    assert sorted(texts) == [("one", "one"), ("two", "a"), ("two", "b")]
    ends = {name: x.code for name, x in said if isinstance(x, Ended)}
    assert ends == {"one": 3, "two": 0}
    assert "ended with code 3" in (tmp_path / "logs" / "one.log").read_text()


def interrupt_when_all_spoke(tools: dict[str, Tool]) -> None:
    """Follow tools; send ourselves Ctrl-C when each of them has said something."""
    silent = set(tools)
    try:
        for name, _ in merged(tools):
            silent.discard(name)
            if not silent:
                os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise stopped(tools.values()) from None


def test_an_interrupt_stops_all_tools_that_work_side_by_side(
    tmp_path, redactor
) -> None:
    """Each is stopped by its policy; one that had ended already is left alone."""
    slow = "import time; print('up', flush=True); time.sleep(60)"
    with ExitStack() as stack:
        programs = {"a": slow, "b": slow, "done": "pass"}
        tools = side_by_side(stack, tmp_path, redactor, **programs)
        with pytest.raises(InterruptedRunError) as caught:
            interrupt_when_all_spoke(tools)
    assert str(caught.value) == "tool was interrupted"
    ends = {name: tool.ended.stopped for name, tool in tools.items()}
    assert ends == {"a": "interrupted", "b": "interrupted", "done": ""}
    for name in ("a", "b"):
        assert "SIGINT sent" in (tmp_path / "logs" / f"{name}.log").read_text()
