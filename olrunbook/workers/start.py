"""Start a worker under another Python, one that has the worker's tool and not us.

    python -P …/workers/start.py olrunbook.workers.MODULE ARGUMENTS…

Only the package `olrunbook` is made known, by its place: no folder comes onto the
import path, so nothing that stands beside us takes the place of a package of theirs.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    FOLDER = Path(__file__).resolve().parents[1]
    SPEC = importlib.util.spec_from_file_location(
        "olrunbook",
        FOLDER / "__init__.py",
        submodule_search_locations=[str(FOLDER)],
    )
    assert SPEC is not None
    assert SPEC.loader is not None
    sys.modules["olrunbook"] = module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
