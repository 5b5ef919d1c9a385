"""A real LDAP directory for tests: Debian's slapd, on free ports of 127.0.0.1, encrypted by a certificate of its own.

It is thrown away. A pipe whose end this process holds ends it with this process, however that ends.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from quantdesk.hub.auth.directory import Checked
from quantdesk.hub.configure import free_ports

BASE = "dc=desk,dc=example"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
ROOT, ROOT_PASSWORD = f"cn=root,{BASE}", "the root of all"
SEARCH, SEARCH_PASSWORD = f"cn=search,{BASE}", "only looks people up"
PASSWORD = "pass(w*rd)\\ of the directory"
"""Of everybody. It holds what a filter must escape."""
KEEPER = """
"$1" -f "$2/slapd.conf" -h "$3" -d 0 >"$2/log" 2>&1 </dev/null &
server=$!
echo $server >"$2/pid.new" && mv "$2/pid.new" "$2/pid"
cat >/dev/null
kill -KILL $server 2>/dev/null
wait $server 2>/dev/null
cd / && rm -rf "$2"
"""
CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb.la
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
maxsize 33554432
dbnosync
suffix "{base}"
rootdn "{root}"
rootpw "{password}"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{search}" read by * none
"""


def find_slapd() -> str | None:
    """slapd of this machine: Debian's, or installed from Debian where that is allowed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which("slapd", path=path)
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    # Debian would start a directory of its own beside the program; that is not wanted here.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for line in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "slapd"]):
        subprocess.run(line, env=quiet, capture_output=True, check=False)
    return shutil.which("slapd", path=path)


class Directory:
    """A running directory with people and groups."""

    def __init__(self, program: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="quantdesk-slapd-"))
        self.port, self.secure_port = free_ports(2)
        (self.folder / "data").mkdir()
        certificate(self.folder)
        names = {"folder": self.folder, "base": BASE, "root": ROOT, "password": ROOT_PASSWORD, "search": SEARCH}
        (self.folder / "slapd.conf").write_text(CONF.format(**names))
        urls = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.secure_port}/"
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", program, str(self.folder), urls],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.root = self._connected()
        for dn in (BASE, PEOPLE, GROUPS):
            kind = ["dcObject", "organization"] if dn == BASE else "organizationalUnit"
            more = {"o": "desk", "dc": "desk"} if dn == BASE else {}
            self.add(dn, kind, **more)
        self.add(SEARCH, ["organizationalRole", "simpleSecurityObject"], userPassword=SEARCH_PASSWORD)

    @property
    def ca(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def secure_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.secure_port}"

    def add(self, dn: str, kind: Any, **attributes: Any) -> None:
        assert self.root.add(dn, kind, attributes), self.root.result

    def person(self, name: str) -> str:
        """Somebody, who has the password of everybody; the distinguished name."""
        dn = f"uid={name},{PEOPLE}"
        self.add(dn, "inetOrgPerson", cn=name, sn=name, userPassword=PASSWORD)
        return dn

    def group(self, name: str, *members: str) -> None:
        """A group of distinguished names, as most directories have them."""
        self.add(f"cn={name},{GROUPS}", "groupOfNames", member=list(members))

    def unix_group(self, name: str, number: int, *names: str) -> None:
        """A group of nis.schema, which knows its members by their plain names."""
        self.add(f"cn={name},{GROUPS}", "posixGroup", gidNumber=number, memberUid=list(names))

    def change(self, dn: str, attribute: str, *values: str) -> None:
        """Replace what an entry has."""
        assert self.root.modify(dn, {attribute: [(ldap3.MODIFY_REPLACE, list(values))]}), self.root.result

    def remove(self, dn: str) -> None:
        assert self.root.delete(dn), self.root.result

    def hang(self) -> None:
        os.kill(self._pid(), signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def stop(self) -> None:
        self.root.unbind()
        self._keeper.communicate(timeout=30)

    def _pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def _connected(self) -> Any:
        tls = Checked(ca_certs_file=str(self.ca))
        server = ldap3.Server("127.0.0.1", self.secure_port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.secure_port)).close()
                return ldap3.Connection(server, ROOT, ROOT_PASSWORD, auto_bind=True)
            except OSError:
                if time.monotonic() > deadline:
                    log = (self.folder / "log").read_text()
                    self.stop()
                    raise RuntimeError(f"slapd did not start:\n{log}") from None
                time.sleep(0.02)


def certificate(folder: Path, name: str = "cert") -> None:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the directory of the tests")])
    today = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / ("key.pem" if name == "cert" else f"{name}-key.pem")).write_bytes(private)
