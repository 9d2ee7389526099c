# SPDX-License-Identifier: MIT
# Verifies the messages whose paths come on standard input, a line each, with
# Mail::DKIM; keys come from the DNS server on the loopback port that is given.
# Prints a JSON object for each signature: file, domain, selector, algorithm, result.
use strict;
use warnings;
use JSON::PP;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Net::DNS::Resolver;

# A key of 2048 bits behind a CNAME is more than 512 octets.
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(
    nameservers => ['127.0.0.1'], port => $ARGV[0], recurse => 1,
    udppacketsize => 4096));
my $json = JSON::PP->new->canonical;
while (my $path = <STDIN>) {
    chomp $path;
    open(my $file, '<:raw', $path) or die "$path: $!\n";
    my $verifier = Mail::DKIM::Verifier->new();
    while (my $line = <$file>) {
        $verifier->PRINT($line);
    }
    close($file);
    $verifier->CLOSE;
    for my $one ($verifier->signatures) {
        next if $one->isa('Mail::DKIM::DkSignature');    # DomainKeys: RFC 4870
        print $json->encode({
            file => $path, domain => $one->domain // '',
            selector => $one->selector // '', algorithm => $one->algorithm // '',
            result => $one->result // 'none', reason => $one->result_detail // '' }),
            "\n";
    }
}
