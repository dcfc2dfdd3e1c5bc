"""Which links are said not to answer, and which places are never asked (defences: SSRF)."""

import socket

import pytest

from core.notices import link_check


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.5",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "255.255.255.255",
        "::",
        "fec0::1",
        "3fff:1::1",
        "168.63.129.16",
        "feff::1",
        "64:ff9b::7f00:1",
        "64:ff9b::5db8:d70e",
        "64:ff9b:1::1",
        "100.127.255.254",
        "0.1.2.3",
        "::ffff:10.0.0.1",
        "::ffff:0.1.2.3",
        "::127.0.0.1",
        "::93.184.215.14",
        "100::1",
        "2001:db8::1",
        "192.0.2.1",
        "198.18.0.1",
        "240.0.0.1",
    ],
)
def test_places_that_are_not_public(address):
    assert not link_check.is_public_address(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_places(address):
    assert link_check.is_public_address(address)


@pytest.fixture
def net(monkeypatch):
    """A net whose names lead to addresses, and whose places answer with (status, target)."""
    names, places, asked = {}, {}, []

    def look_up(host, port, **more):
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if names[host] is None:
            raise socket.gaierror(socket.EAI_AGAIN, "no network")
        return [(2, 1, 6, "", (names[host], 0))]

    class Line:
        def __init__(self, host):
            self.host = host

        def request(self, method, path, headers):
            self.path = path

        def getresponse(self):
            self.status, self.target = places[self.host + self.path]
            return self

        def getheader(self, name):
            return self.target

        def close(self):
            pass

    def connected(host, scheme):
        asked.append((host, link_check._resolve_public_address(host)))
        return Line(host)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(link_check, "_connect", connected)
    return names, places, asked


PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    ("status", "silent"), [(200, False), (403, False), (405, False), (404, True), (410, True), (500, True)]
)
def test_what_a_page_says(net, status, silent):
    names, places, _ = net
    names["school.example"], places["school.example/a?b=1"] = PUBLIC, (status, None)
    url = "https://school.example/a?b=1"
    assert link_check.dead_links([url, url]) == ([url] if silent else [])


def test_an_unknown_name_is_silent_and_a_missing_network_says_nothing(net):
    names, _, _ = net
    names["later.example"] = None
    assert link_check.dead_links(["https://nowhere.example/", "https://later.example/"]) == ["https://nowhere.example/"]


@pytest.mark.parametrize(
    "url",
    [
        "http://inside.example/",
        "http://school.example:8080/",
        "ftp://school.example/",
        "http://user@school.example/",
        "https://school.example:22/",
        "http://127.0.0.1/",
        "http://[::1]/",
    ],
)
def test_places_inside_are_neither_asked_nor_spoken_of(net, url):
    names, places, asked = net
    names |= {"inside.example": "10.0.0.1", "school.example": PUBLIC, "127.0.0.1": "127.0.0.1", "::1": "::1"}
    names["outside.example"], places["outside.example/"] = PUBLIC, (404, None)
    assert link_check.dead_links([url, "https://outside.example/"]) == ["https://outside.example/"]
    assert [host for host, *_ in asked] == ["outside.example"]


def test_a_redirect_is_examined_anew(net):
    names, places, asked = net
    names |= {"school.example": PUBLIC, "inside.example": "169.254.169.254"}
    places["school.example/"] = (302, "http://inside.example/latest/meta-data")
    assert link_check.dead_links(["http://school.example/"]) == []
    assert [host for host, _ in asked] == ["school.example"]
    places["school.example/"] = (301, "/there")
    places["school.example/there"] = (404, None)
    assert link_check.dead_links(["http://school.example/"]) == ["http://school.example/"]


def test_the_connection_goes_to_the_address_that_was_examined(monkeypatch):
    """A name that leads elsewhere a moment later leads nowhere (DNS rebinding)."""
    went = []
    monkeypatch.setattr(link_check, "_resolve_public_address", lambda host: PUBLIC)

    def connect(to, timeout):
        went.append((to, timeout))
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    assert link_check.dead_links(["http://school.example/"]) == ["http://school.example/"]
    assert went == [((PUBLIC, 80), link_check.TIMEOUT_S)]
