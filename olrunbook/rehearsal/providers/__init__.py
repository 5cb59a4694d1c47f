"""The stand-in Pulumi provider plugins.

The engine, the SDKs and the stacks are the real ones; only the plugins that would call
AWS, Vault and Consul are ours, and they call the cloud on loopback and nothing else.
`install` puts them where the engine of a rehearsal looks: into its own PULUMI_HOME.
What is there (`plugin.py`) has a resident process serve the provider (`host.py`), and
without one is the provider itself, `python -m olrunbook.rehearsal.providers NAME`.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["PACKAGES", "install", "plugin_version"]

# Provider to the SDK whose version its plugin must carry.
PACKAGES = {"aws": "pulumi-aws", "vault": "pulumi-vault", "consul": "pulumi-consul"}


def plugin_version(name: str) -> str:
    """Return the version the installed SDK of a provider asks the engine for.

    Raises:
        LookupError: The SDK is not installed.

    """
    try:
        return version(PACKAGES[name])
    except PackageNotFoundError:
        msg = f"the Pulumi SDK {PACKAGES[name]} is not installed"
        raise LookupError(msg) from None


def install(pulumi_home: Path, host: Path) -> dict[str, str]:
    """Put the stand-in plugins into a PULUMI_HOME of the rehearsal's own.

    Args:
        pulumi_home: The folder; made if it is not there. Other versions of these three
            plugins are removed from it, so that none is taken by mistake.
        host: The socket of the process that keeps providers ready.

    Returns:
        The environment the Pulumi CLI needs to find these plugins and no others.

    """
    plugins = pulumi_home / "plugins"
    plugins.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in PACKAGES:
        folder = plugins / f"resource-{name}-v{plugin_version(name)}"
        for other in plugins.glob(f"resource-{name}-v*"):
            if other != folder:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        folder.mkdir(exist_ok=True)
        program = folder / f"pulumi-resource-{name}"
        plugin = str(Path(__file__).with_name("plugin.py"))
        call = shlex.join([sys.executable, "-I", "-S", plugin, str(host), name])
        program.write_text(f"#!/bin/sh\nexec {call}\n", encoding="utf-8")
        program.chmod(0o755)
        (folder / "PulumiPlugin.yaml").unlink(missing_ok=True)
    return {
        "PULUMI_HOME": str(pulumi_home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        # S3 answers of the cloud on loopback carry no checksum; the SDK would warn
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
