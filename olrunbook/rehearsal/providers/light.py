"""Import Pulumi's protocol without the whole SDK: a plugin must start in a blink."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path


def light_pulumi() -> None:
    """Make `pulumi.runtime.proto` importable without running `pulumi/__init__`.

    Does nothing where pulumi is imported already. For processes of our own only: what
    imports pulumi afterwards gets an empty package.
    """
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or spec.origin is None:
        return  # the import that follows says what is missing
    base = Path(spec.origin).parent
    for name, folder in (("pulumi", base), ("pulumi.runtime", base / "runtime")):
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules[name] = module
