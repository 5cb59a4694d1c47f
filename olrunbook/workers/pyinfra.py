"""Run one pyinfra deploy in a process of its own and say each event as a line of JSON.

    python -P …/workers/start.py olrunbook.workers.pyinfra INVENTORY DEPLOY_FILE FOLDER

pyinfra patches the standard library for gevent, which no Jupyter kernel survives, and
its own command prints its results only at the end. So this program, started by the
adapter, uses pyinfra's API and tells every connection and operation while it happens.
The deploy file is run in FOLDER, as a rule its own, with its own on the import path, as
pyinfra does it.
"""

# pyinfra's callbacks are static methods that it calls on an instance.
# mypy: disable-error-code="override"
# ruff: noqa: ARG002

from gevent import monkey

monkey.patch_all()  # before anything else is imported, as pyinfra's own command does

import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, TextIO  # noqa: E402

from pyinfra.api.config import Config  # noqa: E402
from pyinfra.api.connect import connect_all, disconnect_all  # noqa: E402
from pyinfra.api.exceptions import PyinfraError  # noqa: E402
from pyinfra.api.inventory import Inventory  # noqa: E402
from pyinfra.api.operation import OperationMeta  # noqa: E402
from pyinfra.api.operations import run_ops  # noqa: E402
from pyinfra.api.state import BaseStateCallback, State  # noqa: E402
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state  # noqa: E402

try:  # since version 3
    from pyinfra.api.state import StateStage
except ImportError:
    SINCE_3 = False
else:
    SINCE_3 = True

TAIL = 20  # lines of a failed operation's output that are told
COMMANDS = 5  # commands of an operation that are told


class Teller(BaseStateCallback):
    """Turn pyinfra's callbacks into lines of JSON."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.began: dict[str, float] = {}
        self.current = ""
        self.order: list[str] = []
        self.failed: set[str] = set()

    def tell(self, kind: str, text: str, **data: Any) -> None:
        """Write one event, as `olrunbook.events` has it."""
        said = {"event": kind, "text": text, "data": data}
        self.out.write(json.dumps(said, default=str) + "\n")
        self.out.flush()

    def host_before_connect(self, state: State, host: Any) -> None:
        """Say which host is being reached."""
        self.tell("phase", f"connecting to {host.name}")

    def host_connect(self, state: State, host: Any) -> None:
        """Say that a host was reached."""
        self.tell("line", "connected")

    def host_connect_error(self, state: State, host: Any, error: Any) -> None:
        """Say that a host could not be reached."""
        self.tell("error", f"{host.name} cannot be reached: {error}")

    def operation_host_start(self, state: State, host: Any, op_hash: str) -> None:
        """Say that an operation begins."""
        self.began[op_hash] = time.monotonic()
        self.current = op_hash
        which = self._which(state, op_hash)
        self.tell("operation", which["name"], **which, state="running")

    def operation_host_retry(
        self, state: State, host: Any, op_hash: str, retry_num: int, max_retries: int
    ) -> None:
        """Say that an operation is tried again."""
        name = self._which(state, op_hash)["name"]
        self.tell("warning", f"{name}: attempt {retry_num} of {max_retries} failed")

    def completed(self, state: State, meta: OperationMeta) -> None:
        """Say how an operation ended.

        pyinfra's own callbacks come before it knows; so this is called from the place
        where it learns it.
        """
        commands = [str(command) for command in meta._commands or []]  # noqa: SLF001
        combined = meta._combined_output  # noqa: SLF001
        lines = [one.line for one in combined] if combined and meta.did_error() else []
        self._ended(state, _state(meta), commands, lines)

    def completed_2(self, state: Any, host: Any, op: str, lines: list[str]) -> None:
        """Say how an operation of pyinfra 2 ended: what it has to do it knew before."""
        commands = [str(one) for one in state.get_op_data(host, op)["commands"]]
        how = "changed" if commands else "no change"
        self._ended(state, "failed" if op in self.failed else how, commands, lines)

    def operation_host_error(
        self, state: State, host: Any, op_hash: str, *tries: int
    ) -> None:
        """Note that an operation failed; newer ones say after how many tries."""
        self.failed.add(op_hash)

    def _ended(
        self, state: State, how: str, commands: list[str], lines: list[str]
    ) -> None:
        began = self.began.get(self.current, time.monotonic())
        which = self._which(state, self.current)
        self.tell(
            "operation",
            f"{which['name']}: {how}",
            **which,
            state=how,
            seconds=round(time.monotonic() - began, 3),
            commands=commands[:COMMANDS],
            output=lines[-TAIL:] if how == "failed" else [],
        )

    def _which(self, state: State, op_hash: str) -> dict[str, Any]:
        if not self.order:
            self.order = list(state.get_op_order())
        return {"name": _names(state, op_hash), "index": self.order.index(op_hash)}


def _names(state: State, op_hash: str) -> str:
    meta: Any = state.get_op_meta(op_hash)  # a dictionary in version 2
    return ", ".join(sorted(meta["names"]) if isinstance(meta, dict) else meta.names)


def _state(meta: OperationMeta) -> str:
    if meta.did_error():
        return "failed"
    return "changed" if meta.did_change() else "no change"


def run(inventory_name: str, deploy: Path, folder: str, teller: Teller) -> int:
    """Connect, run every operation, disconnect; return 0 when all succeeded, else 1."""
    inventory = Inventory(([inventory_name], {}))
    state, config = State(check_for_changes=False), Config()
    state.cwd = folder
    state.print_output = state.print_input = False
    _listen(state, teller)
    with ctx_state.use(state), ctx_inventory.use(inventory), ctx_config.use(config):
        state.init(inventory, config)
        state.add_callback_handler(teller)
        try:
            _stage(state, "Connect")
            connect_all(state)
            _stage(state, "Prepare")
            teller.tell("phase", "gathering facts")
            _load(state, deploy)
            order = state.get_op_order()
            names = [_names(state, op) for op in order]
            teller.tell("phase", f"{len(names)} operations", operations=names)
            _stage(state, "Execute")
            run_ops(state)
        except PyinfraError as error:
            # An operation that failed has told it itself.
            if str(error) != "No hosts remaining!" or not teller.order:
                teller.tell("error", str(error))
            return 1
        finally:
            _stage(state, "Disconnect")
            disconnect_all(state)
    return 0


def _stage(state: State, name: str) -> None:
    if SINCE_3:
        state.set_stage(StateStage[name])


def _listen(state: State, teller: Teller) -> None:
    """Have the teller told of each operation's end, where pyinfra learns it."""
    own: Any = OperationMeta
    name = (
        "set_complete" if hasattr(own, "set_complete") else "set_combined_output_lines"
    )
    ended = getattr(own, name)

    def told(meta: Any, *args: Any, **more: Any) -> None:
        ended(meta, *args, **more)
        if SINCE_3:
            teller.completed(state, meta)
        else:
            lines = [line for _, line in args[0]]
            (host,) = state.inventory
            teller.completed_2(state, host, teller.current, lines)

    setattr(own, name, told)


def _load(state: State, deploy: Path) -> None:
    """Run the deploy file for each host: this gathers facts and queues operations."""
    code = compile(deploy.read_bytes(), str(deploy), "exec")
    state.current_deploy_filename = state.current_exec_filename = str(deploy)
    for host in list(state.active_hosts):
        with ctx_host.use(host):
            exec(code, {"__file__": str(deploy), "__name__": "deploy"})  # noqa: S102


def _echo(text: object = "", **_: object) -> None:
    sys.stderr.write(f"{text}\n")


def _all_to_standard_error() -> None:
    """Have pyinfra's own words there too; before 3.8 it prints them like a deploy."""
    try:
        from pyinfra.api.output import set_echo  # noqa: PLC0415
    except ImportError:
        return
    set_echo(_echo)


def main(argv: list[str]) -> int:
    """Run what the command line names; tell whatever goes wrong."""
    inventory, deploy, folder = argv
    path = Path(deploy).absolute()
    # What a deploy file prints must not mix with our lines.
    teller = Teller(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("pyinfra").addHandler(handler)
    logging.getLogger("pyinfra").setLevel(logging.INFO)
    _all_to_standard_error()
    os.chdir(folder)
    sys.path.append(str(path.parent))
    sys.dont_write_bytecode = True  # the checkout is never written
    try:
        return run(inventory, path, folder, teller)
    except KeyboardInterrupt:
        teller.tell("error", "interrupted")
        return 130
    except Exception as error:  # noqa: BLE001  (whatever a deploy file raises is told)
        traceback.print_exc()
        at = ""
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith(str(path.parent)):
                at = f" ({Path(frame.filename).name}, line {frame.lineno})"
        teller.tell("error", f"{type(error).__name__}: {error}{at}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
