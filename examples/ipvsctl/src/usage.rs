//! What `-h` and `-v` say.

/// `-v`.
pub(crate) const VERSION: &str =
    concat!("ipvsctl v", env!("CARGO_PKG_VERSION"), " (takes the command line of ipvsadm v1.31)\n");

/// `-v` under the name ipvsadm: scripts take the second word to tell what they can use.
pub(crate) const VERSION_AS_IPVSADM: &str = concat!(
    "ipvsadm v1.31 (this is ipvsctl v",
    env!("CARGO_PKG_VERSION"),
    ", which takes its command line)\n"
);

/// `-h`.
pub(crate) const USAGE: &str = concat!(
    "ipvsctl v",
    env!("CARGO_PKG_VERSION"),
    " (takes the command line of ipvsadm v1.31)

A command line is one verb, then options in any order. Short options may be bundled: `-Ln`.

Services (SERVICE is one of -t -u --sctp-service -f below)
  -A, --add-service SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M NETMASK] [--pe ENGINE] [-b FLAGS] [-o]
  -E, --edit-service SERVICE ...       the same; what is not said is set to its default
  -D, --delete-service SERVICE         with its servers
  -C, --clear                          all services

Servers of a service
  -a, --add-server SERVICE -r HOST[:PORT] [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  -e, --edit-server SERVICE -r ...     the same; what is not said is set to its default
  -d, --delete-server SERVICE -r HOST[:PORT]

What is there
  -L, -l, --list [SERVICE] [-n] [--exact] [--nosort]
                 [--stats|--rate|--thresholds|--persistent-conn|--tun-info]
  -L -c [-n] [--persistent-conn]       connections
  -L --timeout                         connection timeouts
  -L --daemon                          sync daemons
  -Z, --zero [SERVICE]                 sets counters to zero
  -S, --save [-n]                      writes all services as lines for -R
  -R, --restore                        reads lines from standard input

Settings
  --set TCP TCPFIN UDP                 connection timeouts in seconds; 0 leaves one as it is
  --start-daemon master|backup [--mcast-interface INTERFACE] [--syncid ID] [--sync-maxlen BYTES]
                 [--mcast-group ADDRESS] [--mcast-port PORT] [--mcast-ttl TTL]   [eth0, 0, as long as
                 the interface allows, 224.0.0.81, 8848, 1]
  --stop-daemon master|backup

  -h, --help      -v, --version

A service is
  -t, --tcp-service HOST[:PORT]        HOST is a name, an IPv4 address or an IPv6 address in brackets
  -u, --udp-service HOST[:PORT]        PORT is a number or a name of /etc/services; none, or 0, means all
  --sctp-service HOST[:PORT]           ports, and needs -p
  -f, --fwmark-service MARK [-6]       packets with this firewall mark; -6: of IPv6

Options of a service
  -s, --scheduler SCHEDULER            rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh, as the kernel has them [wlc]
  -p, --persistent [SECONDS]           a client stays with its server [360]
  -M, --netmask NETMASK                so do all clients of a network: 255.255.255.0, for IPv6 a length such as 64
  --pe ENGINE                          a client is known by other things than its address: sip
  -b, --sched-flags FLAGS              sh-fallback sh-port mh-fallback mh-port flag-1 flag-2 flag-3, with commas
  -o, --ops                            every UDP packet for itself

Options of a server
  -g, --gatewaying                     direct routing [this, if nothing is said]
  -i, --ipip                           through a tunnel
  -m, --masquerading                   network address translation
  -w, --weight WEIGHT                  share of new connections, 0 to 2147483647; 0: none [1]
  -x, --u-threshold CONNECTIONS        none above so many [0: no limit]
  -y, --l-threshold CONNECTIONS        again below so many
  --tun-type ipip|gue|gre              with -i [ipip]
  --tun-port PORT                      of gue
  --tun-nocsum, --tun-csum             of gue and gre: without or with checksums [without]
  --tun-remcsum                        of gue: remote checksum offload

Options of a list
  -n, --numeric                        numbers in place of names, which can take long to be found
  --exact                              large numbers in full
  --nosort                             in the kernel's order (--sort: in order, which it is anyway)
"
);
