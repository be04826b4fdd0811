"""Prints what scapy reads in adverts, a line for each: read.py FILE message|pseudo-header KEY"""

import hashlib
import hmac
import sys

from scapy.config import conf

conf.verb = 0

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP, VRRPv3
from scapy.packet import Padding, Raw, bind_layers
from scapy.utils import checksum, rdpcap

bind_layers(AH, VRRP, nh=112)


def is_authentic(octets, key, unicast):
    """HMAC-MD5-96 as keepalived has it: over the packet without what changes on the way, the TTL among it in unicast only."""
    header = bytearray(octets)
    header[1] = 0
    header[10:12] = bytes(2)
    if unicast:
        header[8] = 0
    found = bytes(header[32:44])
    header[32:44] = bytes(12)
    return hmac.new(key, bytes(header), hashlib.md5).digest()[:12] == found


def made_again(packet, layer, message_only):
    """The octets that scapy makes of the fields, with lengths and checksums of its own."""
    copy = packet.copy()
    advert = copy[layer]
    advert.ipcount = None
    advert.chksum = None
    if IP in copy:
        copy[IP].chksum = None
        copy[IP].len = None
        copy[IP].ihl = None
    else:
        copy[IPv6].plen = None
    if message_only and layer is VRRPv3 and IP in copy:
        advert.chksum = 0
        advert.chksum = checksum(bytes(copy)[20:])
    return bytes(copy)


def read(frame, message_only, key):
    complaints = []
    packet = frame.payload
    octets = bytes(packet)
    six = isinstance(packet, IPv6)
    layer = VRRPv3 if VRRPv3 in packet else VRRP
    advert = packet[layer]
    if Raw in packet or Padding in packet:
        complaints.append("something follows the advert")
    if len(octets) != (packet.plen + 40 if six else packet.len):
        complaints.append("the length of the packet is another")
    if made_again(packet, layer, message_only) != octets:
        complaints.append("scapy makes it another way: " + made_again(packet, layer, message_only).hex())
    spi = sequence = ""
    if AH in packet:
        spi, sequence = packet[AH].spi, packet[AH].seq
        if packet[AH].payloadlen != 4 or packet[AH].reserved != 0:
            complaints.append("the authentication header is odd")
        if not is_authentic(octets, key, not packet.dst.startswith("224.")):
            complaints.append("it is not authentic")
    auth_type = password = ""
    if layer is VRRP:
        auth_type = advert.authtype
        data = advert.auth1.to_bytes(4, "big") + advert.auth2.to_bytes(4, "big")
        if auth_type == 1:
            password = data.rstrip(b"\0").decode("ascii", "backslashreplace")
        elif data != bytes(8):
            complaints.append("authentication data without authentication")
    elif advert.res != 0:
        complaints.append("the reserved bits are not 0")
    return [
        frame.src, frame.dst, packet.src, packet.dst,
        packet.hlim if six else packet.ttl, packet.tc if six else packet.tos,
        spi, sequence,
        advert.version, advert.type, advert.vrid, advert.priority, advert.ipcount,
        auth_type, password, advert.adv, ",".join(advert.addrlist), ",".join(complaints),
    ]


def main(path, sum_over, key):
    for frame in rdpcap(path):
        try:
            columns = read(Ether(bytes(frame)), sum_over == "message", key.encode())
        except Exception as error:
            # Whatever is odd about it, it gets a line.
            columns = ["", "", "::", "::", 0, 0, "", "", 0, 0, 0, 0, 0, "", "", 0, "", repr(error).replace(",", ";")]
        print("\t".join(str(column) for column in columns))


main(*sys.argv[1:])
