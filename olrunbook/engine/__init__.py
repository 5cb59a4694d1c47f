"""Execute notebooks headless, with a true record for every ending."""

import sys

# jsonschema's optional IRI grammar costs seconds at every import of nbformat and is
# used for nothing here; without it only the IRI formats go unchecked.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
