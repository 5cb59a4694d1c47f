"""Provision the hello image: Caddy serves a page and /healthz over HTTPS.

What can be set, by environment: NODE_TYPE, MARKER (a word on the page) and AMI_TAGS
(JSON).
"""

import io
import json
import os

from pyinfra import host
from pyinfra.facts.files import Directory
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

from olrunbook.artifacts.console import failures_to_console

NODE_TYPE = os.environ.get("NODE_TYPE") or "web"
MARKER = os.environ.get("MARKER") or "unmarked"
AMI_TAGS = json.loads(os.environ.get("AMI_TAGS") or "{}")

apt.update(name="Update the package lists", cache_time=3600)
caddy = apt.packages(
    name="Install Caddy", packages=["caddy", "openssl"], no_recommends=True
)
files.put(
    name="Place the Caddyfile",
    src="files/Caddyfile",
    dest="/etc/caddy/Caddyfile",
    mode="644",
)
console = failures_to_console()
unit = files.put(
    name="Let Caddy make its certificate at boot",
    src="files/certificate.conf",
    dest="/etc/systemd/system/caddy.service.d/certificate.conf",
    mode="644",
)
files.template(
    name="Write the page",
    src="templates/index.html.j2",
    dest="/srv/hello/index.html",
    mode="644",
    marker=MARKER,
    node_type=NODE_TYPE,
)
files.put(
    name="Write the image's tags",
    src=io.StringIO(json.dumps(AMI_TAGS, indent=2, sort_keys=True) + "\n"),
    dest="/etc/ami_tags.json",
    mode="644",
)
if host.get_fact(Directory, path="/run/systemd/system"):
    systemd.daemon_reload(name="Reload systemd", _if=any_changed(caddy, console, unit))
    systemd.service(name="Enable Caddy", service="caddy", running=False, enabled=True)
server.shell(
    name="Remove downloaded packages",
    commands=["apt-get clean"],
    _if=caddy.did_change,
)
