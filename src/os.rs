//! What the operating system is asked for: addresses, links, gateways, sockets, signals.
