"""Say which versions of providers a stack's program asks for.

    python -m olrunbook.workers.pulumi.versions aws vault

A provider has the version of the package by which the program uses it. One JSON object;
a package that is not installed is not in it.
"""

import json
import sys
from importlib.metadata import PackageNotFoundError, version


def main(names: list[str]) -> None:
    """Print the versions of the providers' packages."""
    found = {}
    for name in names:
        try:
            found[name] = version(f"pulumi-{name}")
        except PackageNotFoundError:
            pass  # the caller says so
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
