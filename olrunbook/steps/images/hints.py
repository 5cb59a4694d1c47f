"""Known failures of provisioning and baking, and what the reader can do about each."""

from __future__ import annotations

import re

__all__ = ["hint_for"]

# (pattern, hint); `{0}` in a hint is what the pattern's group caught.
_KNOWN = (
    (
        r"\b(curl|wget|unzip|gpg|sudo): (?:command )?not found",
        (
            "The base image lacks {0}, which a cloud image has: use the default base "
            "image (leave `base` empty), or name one that has it."
        ),
    ),
    (
        r"No space left on device",
        (
            "Free some disk space: `docker system df` shows what docker holds, "
            "`olrunbook rehearsal down` frees what the rehearsal holds."
        ),
    ),
    (
        r"No AMI was found matching filters",
        (
            "The template's source_ami_filter finds nothing in this account: check "
            "its name and owner."
        ),
    ),
    (
        r"[Nn]o [Ss]ubnets? (?:was |were )?found",
        (
            "The template's subnet_filter finds nothing: it needs a subnet tagged "
            "Environment=<build_environment>."
        ),
    ),
    (
        r"[Tt]imeout waiting for SSH",
        "The builder did not answer on port 22: does its subnet give public addresses?",
    ),
    (
        r"pyinfra: (?:command )?not found",
        "pyinfra must be on the PATH of Packer: it is installed beside this Python.",
    ),
    (
        r"sha256sum: WARNING|computed checksum did NOT match",
        "An artifact does not match its checksum; it was not installed.",
    ),
    (
        (
            r"Unable to locate package|Temporary failure resolving|Failed to fetch"
            r"|Could not (?:resolve|connect)"
        ),
        "The Debian mirror must answer in the container: try `apt-get update` there.",
    ),
    (
        r"Unrecognized (?:VM )?option|Could not create the Java Virtual Machine",
        "Java refuses one of its options: see tika_java_options.",
    ),
    (
        r"Job for \S+ failed|control process exited|does not answer at",
        "The service does not start; the output above has its messages.",
    ),
    (
        r"Cannot connect to the Docker daemon",
        "Start docker: sudo systemctl start docker (or `make setup` of this project).",
    ),
)


def hint_for(output: str) -> str:
    """Return what a reader can do about a tool's output; empty: nothing is known."""
    for pattern, hint in _KNOWN:
        if found := re.search(pattern, output, re.MULTILINE):
            words = [group for group in found.groups() if group]
            return hint.format(*(words or [""]))
    return ""
