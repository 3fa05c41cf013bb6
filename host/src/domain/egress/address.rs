//! Which addresses are public. Everything else leads into somebody's own network, to this machine,
//! or nowhere, and an agent has no business there unless the operator says so.
//!
//! Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries, with the address blocks of
//! multicast and of IPv6 Global Unicast. Where the registries call a block globally reachable that
//! only routers and tunnels use (AMT, AS112, 6to4 relays), it is left open if it is IPv4 unicast,
//! and closed if it lies in IPv6's protocol assignments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: [u16; 6], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f] = first;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, 0, 0), length)
}

const METADATA: &str = "a cloud's metadata service";

/// The first that holds the address names it.
const V4: &[(Ipv4Net, &str)] = &[
    (v4(169, 254, 169, 254, 32), METADATA),
    // Azure's and Alibaba's; the first lies in public space.
    (v4(168, 63, 129, 16, 32), METADATA),
    (v4(100, 100, 100, 200, 32), METADATA),
    (v4(0, 0, 0, 0, 8), "this network (0.0.0.0/8)"),
    (v4(10, 0, 0, 0, 8), "a private network (10.0.0.0/8)"),
    (v4(100, 64, 0, 0, 10), "a carrier's shared network (100.64.0.0/10)"),
    (v4(127, 0, 0, 0, 8), "the host itself (127.0.0.0/8)"),
    (v4(169, 254, 0, 0, 16), "a link-local network (169.254.0.0/16)"),
    (v4(172, 16, 0, 0, 12), "a private network (172.16.0.0/12)"),
    (v4(192, 0, 0, 0, 24), "reserved for protocols (192.0.0.0/24)"),
    (v4(192, 0, 2, 0, 24), "reserved for documentation (192.0.2.0/24)"),
    (v4(192, 88, 99, 0, 24), "a relay for 6to4 (192.88.99.0/24)"),
    (v4(192, 168, 0, 0, 16), "a private network (192.168.0.0/16)"),
    (v4(198, 18, 0, 0, 15), "reserved for benchmarks (198.18.0.0/15)"),
    (v4(198, 51, 100, 0, 24), "reserved for documentation (198.51.100.0/24)"),
    (v4(203, 0, 113, 0, 24), "reserved for documentation (203.0.113.0/24)"),
    (v4(224, 0, 0, 0, 4), "a multicast group (224.0.0.0/4)"),
    (v4(255, 255, 255, 255, 32), "the broadcast address"),
    (v4(240, 0, 0, 0, 4), "reserved (240.0.0.0/4)"),
];

const V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "the host itself (::1)"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "the unspecified address (::)"),
    // AWS's metadata service.
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), 128), METADATA),
    (v6([0, 0, 0, 0, 0, 0xffff], 96), "an IPv4 address in disguise (::ffff:0:0/96)"),
    (v6([0, 0, 0, 0, 0, 0], 96), "an IPv4 address in disguise (::/96)"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0], 48), "a local translation of IPv4 (64:ff9b:1::/48)"),
    (v6([0x100, 0, 0, 0, 0, 0], 64), "discarded (100::/64)"),
    (v6([0x2001, 0, 0, 0, 0, 0], 32), "a Teredo tunnel (2001::/32)"),
    (v6([0x2001, 0, 0, 0, 0, 0], 23), "reserved for protocols (2001::/23)"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0], 32), "reserved for documentation (2001:db8::/32)"),
    (v6([0x2002, 0, 0, 0, 0, 0], 16), "a 6to4 tunnel (2002::/16)"),
    (v6([0x3fff, 0, 0, 0, 0, 0], 20), "reserved for documentation (3fff::/20)"),
    (v6([0x5f00, 0, 0, 0, 0, 0], 16), "reserved for segment routing (5f00::/16)"),
    (v6([0xfc00, 0, 0, 0, 0, 0], 7), "a private network (fc00::/7)"),
    (v6([0xfe80, 0, 0, 0, 0, 0], 10), "a link-local network (fe80::/10)"),
    (v6([0xfec0, 0, 0, 0, 0, 0], 10), "a site-local network (fec0::/10)"),
    (v6([0xff00, 0, 0, 0, 0, 0], 8), "a multicast group (ff00::/8)"),
];

/// The well-known prefix of NAT64 (RFC 6052): what counts is the IPv4 address in its last 32 bits.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0], 96);
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0], 3);

/// What the address is, if it is not public. IPv6 is closed but for Global Unicast and what NAT64
/// translates to a public IPv4 address; IPv4 is open but for the reserved blocks.
pub fn reserved(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            reserved(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => {
            let named = V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what);
            named.or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some("outside of IPv6's public space"))
        }
    }
}
