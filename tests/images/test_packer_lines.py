"""What Packer says is understood: phases, operations, images, what it must remove."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from olrunbook.adapters.packer_lines import Reader, split_line
from olrunbook.events import Event
from olrunbook.processes.tool import Line
from olrunbook.steps.images.watch import Watch, explain
from tests.images.conftest import DATA

START = datetime(2026, 11, 24, tzinfo=UTC)


def events(name: str) -> list[Event]:
    """Return the events of a recorded build; each line came at the time it names."""
    reader, found = Reader(), []
    for text in (DATA / name).read_text().splitlines():
        at = datetime.fromtimestamp(int(text.split(",")[0]), UTC)
        found += reader.read(Line("stdout", text, at))
    return found


def watched(name: str, code: int) -> Watch:
    """Return what is known after a recorded build."""
    watch = Watch()
    for event in events(name):
        watch.see(event)
    data = {"code": code, "seconds": 22.0}
    watch.see(Event("packer", "end", "", data, START + timedelta(days=365)))
    return watch


MISSING = [
    "ui,say,==> amazon-ebs.demo: Connected to SSH!",
    "ui,error,==> amazon-ebs.demo: Traceback (most recent call last):",
    "ui,error,==> amazon-ebs.demo: ModuleNotFoundError: No module named 'bridge'",
    "ui,say,==> amazon-ebs.demo: Provisioning step had errors: Running the cleanup",
    "ui,say,==> amazon-ebs.demo: Terminating the source AWS instance...",
    "error,Script exited with non-zero exit status: 1. Allowed exit codes are: [0]",
]


def test_a_provisioner_that_fails_has_the_last_word() -> None:
    """Packer's own words name a code; what went wrong is what came before them."""
    watch, reader = Watch(), Reader()
    for text in MISSING:
        for event in reader.read(Line("stdout", f"1,,{text}", START)):
            watch.see(event)
    first, *more = watch.cause().splitlines()
    assert first.endswith("last output: ModuleNotFoundError: No module named 'bridge'")
    assert any("Traceback" in row for row in more)
    assert more[-1].startswith("Script exited with non-zero exit status: 1")


def test_a_good_build_is_understood() -> None:
    """Phases in order, every operation with its end, one image and its base."""
    watch = watched("packer-good.log", 0)
    assert [phase.name for phase in watch.timed()] == [
        "checking",
        "launching",
        "waiting for ssh",
        "provisioning",
        "stopping",
        "creating image",
        "cleaning up",
    ]
    assert [op.state for op in watch.operations()].count("changed") == 9
    assert watch.operations()[1].name == "Install Caddy"
    assert watch.operations()[1].seconds > 0
    assert watch.images == ["ami-505533bcdcc73e857"]
    assert watch.base == "ami-0deb12amd64local0"
    assert {what for what, _ in watch.made} == {
        "key pair",
        "security group",
        "instance",
        "image",
    }


def test_a_failed_build_names_the_operation_and_its_output() -> None:
    """The failed operation's output is what the application said, without pyinfra's."""
    watch = watched("packer-failed.log", 1)
    failed = watch.failed()
    assert failed is not None
    assert failed.name == "Check Tika | Tika answers"
    assert failed.output[1] == "Unrecognized VM option 'NoSuchFlag'"
    assert watch.cause().startswith("operation 'Check Tika | Tika answers' failed")
    assert "tika_java_options" in explain(watch)
    assert watch.images == []
    assert watch.timed()[-1].name == "cleaning up"


def test_pyinfras_standard_error_is_no_failure() -> None:
    """Its ordinary lines arrive as `ui,error` and are lines, not errors."""
    kinds = {event.kind for event in events("packer-good.log")}
    assert "error" not in kinds


def test_escapes_are_undone() -> None:
    """Commas and newlines inside data come back."""
    text = "1,amazon-ebs.x,ui,say,a%!(PACKER_COMMA) b\\nc"
    assert split_line(text) == ("amazon-ebs.x", "ui", ["say", "a, b\nc"])


def test_what_is_not_machine_readable_is_a_line() -> None:
    """Words of a plugin that crashed are passed on as they are."""
    event = Reader().read(Line("stderr", "panic: oh, no, three", START))[0]
    assert (event.kind, event.text) == ("line", "panic: oh, no, three")


@given(st.text())
def test_no_line_breaks_the_reader(text) -> None:
    """Whatever Packer writes, it is an event or nothing."""
    for event in Reader().read(Line("stdout", f"1,x,ui,say,{text}", START)):
        assert event.tool == "packer"
    Reader().read(Line("stdout", text, START))
    Reader().read(Line("stdout", f"1,x,{text}", START))
