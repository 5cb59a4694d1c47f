"""Where the tools work: a target as a value, and how it is found."""

from olrunbook.targets.find import (
    find_target,
    load_target,
    not_up,
    require_target,
    save_target,
)
from olrunbook.targets.place import (
    KEEP,
    TARGET_FILE,
    caller,
    onto,
    state_dir,
    tool_environment,
)
from olrunbook.targets.target import Target

__all__ = [
    "KEEP",
    "TARGET_FILE",
    "Target",
    "caller",
    "find_target",
    "load_target",
    "not_up",
    "onto",
    "require_target",
    "save_target",
    "state_dir",
    "tool_environment",
]
