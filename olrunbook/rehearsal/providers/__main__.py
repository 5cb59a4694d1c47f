"""Serve one stand-in provider, where no host answers the plugin."""

from __future__ import annotations

import sys

from olrunbook.rehearsal.providers.light import light_pulumi

light_pulumi()

from olrunbook.rehearsal.providers.serve import main  # noqa: E402  (after light_pulumi)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
