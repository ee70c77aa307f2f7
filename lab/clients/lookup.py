"""Resolves a name with dnspython: prints its addresses, one a line, or what there is instead."""

import sys

import dns.resolver

server, name = sys.argv[1:]
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [server]
# Else it asks again and again for so long after SERVFAIL.
resolver.lifetime = 3
found = []
try:
    for kind in ("A", "AAAA"):
        answer = resolver.resolve(name, kind, raise_on_no_answer=False)
        found.extend(record.address for record in answer.rrset or ())
    print("\n".join(found))
except dns.resolver.NXDOMAIN:
    print("missing")
except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as failure:
    print("failing" if "SERVFAIL" in str(failure) else failure)
