#!/usr/bin/python3
"""Make an interface hand over frames as a wire carries them: whole, with right checksums.

A veth leaves both to a network card that never comes, so a capture on a bridge would have wrong
checksums and frames above the MTU. This is `ethtool --offload NAME tx off` (which ends segmentation
offload too), without the package.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946  # linux/sockios.h
ETHTOOL_STXCSUM = 0x17  # linux/ethtool.h: set transmit checksumming


def main(name: str) -> None:
    value = array.array("I", (ETHTOOL_STXCSUM, 0))  # struct ethtool_value
    address, _ = value.buffer_info()
    request = struct.pack("16sP", name.encode(), address)  # struct ifreq
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, SIOCETHTOOL, request)


if __name__ == "__main__":
    main(sys.argv[1])
