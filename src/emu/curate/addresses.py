"""Which machines a picture may be fetched from: public ones, and those that the config names.

A name is looked up once, and the address that was checked is the one connected to: a second look-up could give another.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Sequence

from emu.data.pictures import BadPicture
from emu.errors import UserError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PUBLIC = ipaddress.ip_network("2000::/3")  # all that has been given out; NAT64, site-local and reserved lie outside
RESERVED = (  # not in every Python's lists
    ipaddress.ip_network("192.0.0.0/24"),  # for protocols, RFC 6890
    ipaddress.ip_network("192.88.99.0/24"),  # the old relays of 6to4, given back by RFC 7526
    ipaddress.ip_network("3fff::/20"),  # for documents, RFC 9637
)


def networks(given: Sequence[str]) -> list[Network]:
    """UserError: not written as a network."""
    try:
        return [ipaddress.ip_network(one) for one in given]
    except ValueError as error:
        raise UserError(f"fetch.allow: {error}; networks are written as 10.1.0.0/16") from None


def is_open(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether it may be connected to: no loopback, private, link-local, site-local, multicast or reserved one.

    What `allowed` holds is open whatever it is.
    """
    if any(address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if within:
            return is_open(within, allowed)
        if address not in PUBLIC:
            return False
    reserved = address.is_reserved or any(address in network for network in RESERVED)
    return address.is_global and not address.is_multicast and not reserved


def look_up(host: str, port: int, allowed: Sequence[Network]) -> list[str]:
    """The addresses of a host that may be connected to. BadPicture: there is none, or it is not found."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadPicture(f"host not found ({error})") from None
    addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
    opened = [one for one in addresses if is_open(ipaddress.ip_address(one), allowed)]
    if not opened:
        raise BadPicture(f"refused: {host} is {addresses[0]}, no public address (fetch.allow)")
    return opened


class Connection(http.client.HTTPConnection):
    """HTTP to an address that was checked."""

    def __init__(self, host: str, port: int, *, allowed: Sequence[Network], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self.allowed = allowed
        self.opened: socket.socket | None = None  # http.client forgets `sock` where a server will close it

    def connect(self) -> None:
        address = look_up(self.host, self.port, self.allowed)[0]
        self.sock = self.opened = socket.create_connection((address, self.port), self.timeout)


class SecureConnection(Connection):
    """The same with TLS, whose certificate is checked for the name."""

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        secure = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = self.opened = secure  # before the handshake, which may be ended too
        secure.do_handshake()
