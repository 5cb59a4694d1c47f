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
from pyinfra.api.state import BaseStateCallback, State, StateStage  # noqa: E402
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state  # noqa: E402

TAIL = 20  # lines of a failed operation's output that are told
COMMANDS = 5  # commands of an operation that are told


class Teller(BaseStateCallback):
    """Turn pyinfra's callbacks into lines of JSON."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.began: dict[str, float] = {}
        self.current = ""
        self.order: list[str] = []

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
        began = self.began.get(self.current, time.monotonic())
        which, how = self._which(state, self.current), _state(meta)
        self.tell(
            "operation",
            f"{which['name']}: {how}",
            **which,
            state=how,
            seconds=round(time.monotonic() - began, 3),
            commands=commands[:COMMANDS],
            output=lines[-TAIL:],
        )

    def _which(self, state: State, op_hash: str) -> dict[str, Any]:
        if not self.order:
            self.order = list(state.get_op_order())
        names = ", ".join(state.get_op_meta(op_hash).names)
        return {"name": names, "index": self.order.index(op_hash)}


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
    complete = OperationMeta.set_complete

    def set_complete(meta: OperationMeta, *args: Any, **more: Any) -> None:
        complete(meta, *args, **more)
        teller.completed(state, meta)

    OperationMeta.set_complete = set_complete  # type: ignore[assignment, method-assign]
    with ctx_state.use(state), ctx_inventory.use(inventory), ctx_config.use(config):
        state.init(inventory, config)
        state.add_callback_handler(teller)
        try:
            state.set_stage(StateStage.Connect)
            connect_all(state)
            state.set_stage(StateStage.Prepare)
            teller.tell("phase", "gathering facts")
            _load(state, deploy)
            order = state.get_op_order()
            names = [", ".join(state.get_op_meta(op).names) for op in order]
            teller.tell("phase", f"{len(names)} operations", operations=names)
            state.set_stage(StateStage.Execute)
            run_ops(state)
        except PyinfraError as error:
            # An operation that failed has told it itself.
            if str(error) != "No hosts remaining!" or not teller.order:
                teller.tell("error", str(error))
            return 1
        finally:
            state.set_stage(StateStage.Disconnect)
            disconnect_all(state)
    return 0


def _load(state: State, deploy: Path) -> None:
    """Run the deploy file for each host: this gathers facts and queues operations."""
    code = compile(deploy.read_bytes(), str(deploy), "exec")
    state.current_deploy_filename = state.current_exec_filename = str(deploy)
    inventory: Any = state.inventory
    newer = hasattr(inventory, "get_active_hosts")  # not before 3.7
    hosts = inventory.get_active_hosts if newer else inventory.iter_active_hosts
    for host in list(hosts()):
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
