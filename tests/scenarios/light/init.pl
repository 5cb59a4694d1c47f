#!/usr/bin/perl
# The whole of a light instance: what an image does when it boots is in /etc/light/kind.
# `sick` may be written there while it runs.
use strict;
use warnings;
use IO::Socket::INET;

sub kind {
    open my $file, '<', '/etc/light/kind' or die "no kind: $!";
    chomp(my $kind = <$file>);
    return $kind;
}

$| = 1;
$SIG{CHLD} = 'IGNORE';
my $kind = kind();
print "light: this is $kind\n";
if ($kind eq 'broken') {
    print "light: web.service failed: no such configuration\n";
    sleep 1000 while 1;
}
sleep 6 if $kind eq 'slow';
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1)
    or die "cannot listen: $!";
while (1) {
    my $client = $server->accept or next;
    next if fork;
    while (my $line = <$client>) { last if $line =~ /^\r?$/ }
    my $ill = kind() eq 'sick';
    my ($status, $body) = $ill ? ('503 Ill', 'ill') : ('200 OK', "light $kind");
    print $client "HTTP/1.1 $status\r\nConnection: close\r\n";
    print $client "Content-Length: ", length($body), "\r\n\r\n$body";
    exit;
}
