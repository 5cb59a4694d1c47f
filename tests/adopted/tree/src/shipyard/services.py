"""A service that answers, as a unit of systemd."""

from io import StringIO

from pyinfra import host
from pyinfra.facts.files import Directory
from pyinfra.operations import files, systemd

PROGRAM = """#!/usr/bin/perl
use strict;
use warnings;
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => {port}, Listen => 64, ReuseAddr => 1)
    or die "cannot listen: $!";
while (my $client = $server->accept) {{
    while (my $line = <$client>) {{ last if $line =~ /^\\r?$/ }}
    my $body = "{text}";
    print $client "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n";
    print $client "Content-Length: ", length($body), "\\r\\n\\r\\n$body";
    close $client;
}}
"""
UNIT = """[Service]
ExecStart=/usr/local/bin/{name}
Restart=always

[Install]
WantedBy=multi-user.target
"""


def answering_service(name: str, port: int, text: str) -> None:
    """Have a service of this name answer each request with a text."""
    files.put(
        name=f"Place the program of {name}",
        src=StringIO(PROGRAM.format(port=port, text=text)),
        dest=f"/usr/local/bin/{name}",
        mode="755",
    )
    files.put(
        name=f"Place the unit of {name}",
        src=StringIO(UNIT.format(name=name)),
        dest=f"/etc/systemd/system/{name}.service",
        mode="644",
    )
    if host.get_fact(Directory, path="/run/systemd/system"):
        systemd.service(
            name=f"Enable {name}", service=name, running=False, enabled=True
        )
