"""The haproxy configuration of one load balancer, made from what moto knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.elbv2.models import FakeListener, FakeLoadBalancer

from olrunbook.rehearsal.balancers.targets import target_group

INSIDE = "/run/balancer"  # where the private folder is seen in the container
SOCKET = "s"

_HEAD = """global
  stats socket {inside}/{socket} uid {uid} gid {gid} mode 600 level admin
  hard-stop-after 10s
  maxconn 1000
  nbthread 1

defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse never
"""


@dataclass(frozen=True, slots=True)
class Route:
    """One listener."""

    port: int  # its port
    protocol: str  # HTTP, HTTPS, TCP or TLS
    certificate: str = ""  # ARN of its certificate; empty: none
    # ARN of the target group it forwards to; empty: it does something else
    group: str = ""
    action: str = ""  # that something, as an haproxy directive


@dataclass(frozen=True, slots=True)
class Server:
    """One target behind a listener."""

    address: str  # `address:port`
    state: str  # `ready` or `drain`


def routes_of(balancer: FakeLoadBalancer) -> list[Route]:
    """Return a load balancer's listeners as moto has them now."""
    return [_route(listener) for listener in list(balancer.listeners.values())]


def backend_name(group_arn: str) -> str:
    """Return haproxy's name for a target group."""
    return group_arn.split("targetgroup/")[1].replace("/", "_")


def tls_options(group_arn: str) -> str:
    """Return the options of a target group's servers (TLS unverified, as ELB)."""
    group = target_group(group_arn)
    speaks = group is not None and (group.protocol or "").upper() in ("HTTPS", "TLS")
    return " ssl verify none" if speaks else ""


def render(
    address: str,
    routes: list[Route],
    servers: dict[str, dict[str, Server]],
    certificate: Callable[[str], str | None],
    owner: tuple[int, int],
) -> str:
    """Return the configuration.

    Args:
        address: The load balancer's address.
        routes: Its listeners.
        servers: Target group to target id to server.
        certificate: Returns the file (in the private folder) of a certificate by ARN.
        owner: User and group that may use the runtime socket.

    """
    uid, gid = owner
    parts = [_HEAD.format(inside=INSIDE, socket=SOCKET, uid=uid, gid=gid)]
    plain_tcp = set()
    for route in routes:
        lines = [f"frontend f{route.port}"]
        file = certificate(route.certificate) if route.certificate else None
        secure = route.protocol in ("HTTPS", "TLS") and file
        tls = f" ssl crt {INSIDE}/{file} alpn h2,http/1.1" if secure else ""
        lines.append(f"  bind {address}:{route.port}{tls}")
        if route.protocol in ("TCP", "TLS"):
            lines.append("  mode tcp")
            plain_tcp.add(route.group)
        if route.action:
            lines.append(f"  {route.action}")
        if route.group:
            if route.protocol not in ("TCP", "TLS"):
                lines.append("  http-response set-header x-ol-target %s")
            lines.append(f"  default_backend {backend_name(route.group)}")
        parts.append("\n".join(lines) + "\n")
    for group in sorted({route.group for route in routes if route.group}):
        lines = [f"backend {backend_name(group)}", "  balance roundrobin"]
        if group in plain_tcp:
            lines.append("  mode tcp")
        for target, server in servers.get(group, {}).items():
            disabled = "" if server.state == "ready" else " disabled"
            lines.append(
                f"  server {target} {server.address}{disabled}{tls_options(group)}"
            )
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _route(listener: FakeListener) -> Route:
    given: Any = listener.certificates[0] if listener.certificates else None
    arn = given["CertificateArn"] if isinstance(given, dict) else str(given or "")
    group = action = ""
    for entry in listener.default_actions:
        if entry.type == "forward":
            many = (entry.data.get("ForwardConfig") or {}).get("TargetGroups") or []
            first = many[0].get("TargetGroupArn") if many else None
            group = entry.data.get("TargetGroupArn") or first or ""
        elif entry.type == "redirect":
            redirect = entry.data.get("RedirectConfig") or {}
            scheme = (
                redirect.get("Protocol", "https")
                .lower()
                .replace("#{protocol}", "https")
            )
            code = redirect.get("StatusCode", "HTTP_301")[-3:]
            action = f"http-request redirect scheme {scheme} code {code}"
        elif entry.type == "fixed-response":
            fixed = entry.data.get("FixedResponseConfig") or {}
            body = _quoted(fixed.get("MessageBody") or "")
            status = fixed.get("StatusCode", "503")
            kind = "content-type text/plain string"
            action = f"http-request return status {status} {kind} {body}"
    return Route(int(listener.port), listener.protocol, arn, group, action)


def _quoted(text: str) -> str:
    """Return a text as haproxy's lexer takes it in double quotes."""
    plain = "".join(char for char in text if char.isprintable())
    for char in '\\"$':
        plain = plain.replace(char, "\\" + char)
    return f'"{plain}"'
