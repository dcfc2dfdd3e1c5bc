"""Run in a network and mount namespace of its own: answer one TXT record, and hold mails against a verifier.

private_dns.py NAME VALUE COMMAND MAIL…: one line of file name and exit code for each mail.
"""

import fcntl
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset

SIOCSIFFLAGS, UP = 0x8914, 0x1


def main(name: str, value: str, command: str, *mails: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", UP))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:2 attempts:2\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 53))
        threading.Thread(target=serve_txt_record, args=(listener, name, value), daemon=True).start()
        for mail in mails:
            ended = subprocess.run([command], input=Path(mail).read_bytes(), stderr=sys.stderr, timeout=30)
            print(Path(mail).name, ended.returncode, flush=True)


def serve_txt_record(listener: socket.socket, name: str, value: str) -> None:
    """Answer the one name in strings of at most 255 octets (RFC 1035 3.3.14), all others with nothing."""
    strings = " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))
    while True:
        asked, where = listener.recvfrom(4096)
        reply = dns.message.make_response(dns.message.from_wire(asked))
        if reply.question[0].name.to_text(omit_final_dot=True).lower() == name:
            reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "TXT", strings))
        reply.flags |= dns.flags.RA
        listener.sendto(reply.to_wire(), where)


if __name__ == "__main__":
    main(*sys.argv[1:])
