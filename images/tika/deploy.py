"""Provision the Tika image: HashiCorp products, a JRE, Tika's server, a TLS proxy.

Run by pyinfra, from this folder (`pyinfra -y @docker/NAME deploy.py`), by
olrunbook's image test, or by Packer over SSH. What can be set, all by environment:

NODE_TYPE            node type of the image (server)
MARKER               text that tells two images apart, served at /image
TIKA_JAVA_OPTIONS    options of the Java process that serves
CHECK_AT_BAKE        "true": Tika must answer once before the image is made
AMI_TAGS             the image's tags (JSON), kept in /etc/ami_tags.json
TIKA_VERSION, VAULT_VERSION, CONSUL_VERSION     instead of those in versions.toml
"""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

from products import (
    configure_hashicorp_products,
    install_hashicorp_products,
    register_services,
)
from pyinfra import host
from pyinfra.api import deploy
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.files import Directory
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

from olrunbook.artifacts.cache import Artifact, fetch, read_versions
from olrunbook.artifacts.console import failures_to_console

HERE = Path(__file__).parent
NODE_TYPE = os.environ.get("NODE_TYPE") or "server"
MARKER = os.environ.get("MARKER") or "unmarked"
JAVA_OPTIONS = os.environ.get("TIKA_JAVA_OPTIONS") or "-Xms64m -Xmx512m"
CHECK_AT_BAKE = (os.environ.get("CHECK_AT_BAKE") or "true").lower() == "true"
AMI_TAGS = json.loads(os.environ.get("AMI_TAGS") or "{}")

TIKA_HOME = "/opt/tika"
TIKA_PORT = 9998
TOKEN_FILE = "/etc/tika/access_token.env"  # noqa: S105  (a path; user data writes it)


@deploy("Install Tika")
def install_tika(jar: Artifact) -> list[OperationMeta]:
    """Install the JRE, the official jar with its checksum, and the unit."""
    java = apt.packages(
        name="Install a Java runtime",
        packages=["openjdk-17-jre-headless"],
        no_recommends=True,
    )
    server.user(  # noqa: S604  (a login shell)
        name="Create system user for tika",
        user="tika",
        system=True,
        shell="/usr/sbin/nologin",
        home=TIKA_HOME,
        create_home=False,
        ensure_home=False,
    )
    files.directory(name="Ensure Tika's directory", path=TIKA_HOME, mode="755")
    files.directory(
        name="Ensure Tika's configuration directory",
        path="/etc/tika",
        group="tika",
        mode="750",
    )
    place = f"{TIKA_HOME}/{jar.path.name}"
    put = files.put(
        name="Put the Tika server jar", src=str(jar.path), dest=place, mode="644"
    )
    server.shell(
        name="Verify the jar's checksum",
        commands=[f"echo '{jar.sha256}  {place}' | sha256sum --check --quiet"],
        _if=put.did_change,
    )
    settings = files.template(
        name="Configure Tika",
        src="templates/tika-config.xml.j2",
        dest="/etc/tika/tika-config.xml",
        group="tika",
        mode="640",
        port=TIKA_PORT,
        java_options=JAVA_OPTIONS.split(),
    )
    unit = files.template(
        name="Place the tika-server unit",
        src="templates/tika-server.service.j2",
        dest="/etc/systemd/system/tika-server.service",
        mode="644",
        jar=place,
        home=TIKA_HOME,
    )
    return [java, put, settings, unit]


@deploy("Install the proxy")
def install_proxy() -> list[OperationMeta]:
    """Install Caddy: TLS on 443, all but /version and /image behind the token."""
    caddy = apt.packages(name="Install Caddy", packages=["caddy"], no_recommends=True)
    files.put(
        name="Place the Caddyfile",
        src="files/Caddyfile",
        dest="/etc/caddy/Caddyfile",
        mode="644",
    )
    files.put(
        name="Place the certificate maker",
        src="files/make-certificate",
        dest="/usr/local/sbin/make-certificate",
        mode="755",
    )
    drop_in = "/etc/systemd/system/caddy.service.d"
    files.directory(name="Ensure the unit's settings", path=drop_in)
    settings = files.template(
        name="Place the unit's settings",
        src="templates/caddy.conf.j2",
        dest=f"{drop_in}/tika.conf",
        mode="644",
        token_file=TOKEN_FILE,
    )
    watch = [
        files.template(
            name=f"Place the token watch ({kind})",
            src=f"templates/caddy-restart.{kind}.j2",
            dest=f"/etc/systemd/system/caddy-restart.{kind}",
            mode="644",
            token_file=TOKEN_FILE,
        )
        for kind in ("path", "service")
    ]
    return [caddy, settings, *watch]


@deploy("Mark the image")
def mark_image() -> None:
    """Write what the image can say about itself."""
    files.put(
        name="Write the marker",
        src=io.StringIO(f"{MARKER}\n"),
        dest="/etc/tika-image-marker",
        mode="644",
    )
    files.put(
        name="Write the image's tags",
        src=io.StringIO(json.dumps(AMI_TAGS, indent=2, sort_keys=True) + "\n"),
        dest="/etc/ami_tags.json",
        mode="644",
    )


@deploy("Check Tika")
def check_tika(changed: Callable[[], bool]) -> None:
    """Start Tika once, ask it for its version, and stop it: no state is baked."""
    server.script(
        name="Tika answers",
        src="files/answers-once",
        args=("tika-server", f"http://127.0.0.1:{TIKA_PORT}/version"),
        _if=changed,
    )


artifacts = {
    name: fetch(spec) for name, spec in read_versions(HERE / "versions.toml").items()
}
products = [artifacts["vault"], artifacts["consul"]]

apt.update(name="Update the package lists", cache_time=3600)
units = [
    failures_to_console(),
    *install_hashicorp_products(products),
    *install_tika(artifacts["tika"]),
    *install_proxy(),
    *configure_hashicorp_products(products, role=f"tika-{NODE_TYPE}"),
]
changed = any_changed(*units)
mark_image()
if host.get_fact(Directory, path="/run/systemd/system"):
    systemd.daemon_reload(name="Reload systemd", _if=changed)
    # Enabled, not started: an image carries no state of a service that ran.
    register_services(["vault", "consul", "tika-server", "caddy", "caddy-restart.path"])
    if CHECK_AT_BAKE:
        check_tika(changed)
server.shell(name="Remove downloaded packages", commands=["apt-get clean"], _if=changed)
