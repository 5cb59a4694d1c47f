"""A shell line that fails is a cell that fails: `!command`, `x = !command`, `%%bash`.

IPython goes on after them by default. Who means it writes `|| true`, or tags the cell
`raises-exception`.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

SHELLS = {"bash": "bash -e", "sh": "sh -e"}  # the first line that fails ends the cell


def fail_with_shell_lines(shell: Any) -> None:
    """Have failed shell lines raise CalledProcessError in the kernel of a shell."""
    from IPython.utils._process_common import get_output_error_code  # noqa: PLC0415
    from IPython.utils.text import LSString, SList  # noqa: PLC0415

    # The signature is IPython's.
    def getoutput(cmd: str, split: bool = True, depth: int = 0) -> Any:  # noqa: FBT001, FBT002
        """Return what a command says; show it where the command fails."""
        expanded = shell.var_expand(cmd, depth=depth + 1)
        if expanded.rstrip().endswith("&"):
            msg = "Background processes not supported."
            raise OSError(msg)
        out, err, code = get_output_error_code(expanded)
        shell.user_ns["_exit_code"] = code
        if code:  # IPython's own would lose what it said
            sys.stdout.write(out)
            sys.stderr.write(err)
            raise subprocess.CalledProcessError(code, expanded)
        said = out + err
        return SList(said.splitlines()) if split else LSString(said)

    shell.system_raise_on_error = True
    shell.getoutput = getoutput
    magics = shell.magics_manager
    scripts = magics.registry["ScriptMagics"]
    for name, command in SHELLS.items():
        scripts.script_paths[name] = command
        magics.magics["cell"][name] = scripts._make_script_magic(name)  # noqa: SLF001
