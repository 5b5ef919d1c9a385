"""Addresses: what is wrong with one is said once, clearly, and never with the password."""

from __future__ import annotations

import logging
import socket
import threading
import traceback

import pytest
from pydantic import SecretStr

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.features import FeatureStore
from quantdesk.features.postgres import Address, parse

SECRET = "hunter2"


def test_the_parts_of_an_address():
    found = parse("postgresql://de%20sk:p%40ss%2Fw%3Ard@db.example:6543/fea%20tures?sslmode=require")
    assert (found.host, found.port, found.database, found.user) == ("db.example", 6543, "fea tures", "de sk")
    assert found.password == SecretStr("p@ss/w:rd")
    assert found.parameters()["password"] == "p@ss/w:rd"
    assert found.parameters()["sslmode"] == "require"
    assert str(found) == "postgresql://de%20sk@db.example:6543/fea%20tures"
    assert "p@ss" not in repr(found)
    assert found.without("it was p@ss/w:rd, or p%40ss%2Fw%3Ard") == "it was ***, or ***"
    six = parse("postgres://desk@[::1]/features")
    assert (six.host, six.port, six.password, str(six)) == ("::1", 5432, None, "postgresql://desk@[::1]:5432/features")
    assert "password" not in six.parameters()
    assert parse(SecretStr("postgresql://desk:@db/f")).password == SecretStr("")


WRONG = {
    f"mysql://desk:{SECRET}@db/features": "a 'mysql' address is not supported",
    f"desk:{SECRET}@db/features": "no scheme",
    f"postgresql://desk:{SECRET}@db": "names no database",
    f"postgresql://desk:{SECRET}@db/": "names no database",
    f"postgresql://desk:{SECRET}@db/one/two": "names no database",
    f"postgresql://:{SECRET}@db/features": "names no user",
    f"postgresql://desk:{SECRET}@/features": "names no host",
    f"postgresql://desk:{SECRET}@db:54x2/features": "'54x2'",
    f"postgresql://desk:{SECRET}@db:99999/features": "'99999'",
    f"postgresql://desk:{SECRET}@db:/features": "''",
    f"postgresql://desk:{SECRET}@db/features?user=root": "option 'user'",
    f"postgresql://desk:{SECRET}@db/fea%00tures": "control character",
    f"postgresql://desk:{SECRET}%00@db/features": "control character",
    # Unescaped, a piece of the password stands where host, port, path or fragment should be.
    f"postgresql://desk:x/{SECRET}@db/features": "not escaped",
    f"postgresql://desk:x?{SECRET}@db/features": "not escaped",
    f"postgresql://desk:x#{SECRET}@db/features": "not escaped",
    f"postgresql://desk:[{SECRET}@db/features": "cannot be read",
    f"postgresql://desk:{SECRET}/features": "not escaped",
    f"postgresql://desk:5432:{SECRET}/features": "not escaped",
}


@pytest.mark.parametrize("url", WRONG)
def test_an_address_that_is_none(url):
    with pytest.raises(BadInput) as caught:
        FeatureStore(url)
    assert WRONG[url] in str(caught.value)
    assert "postgresql://user:password@host:5432/database" in caught.value.remedy or "Known:" in caught.value.remedy
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("wrong", [5, b"postgresql://desk@db/f", ("a",)])
def test_what_is_no_text_is_no_address(wrong):
    with pytest.raises(BadInput, match=type(wrong).__name__):
        FeatureStore(wrong)


@pytest.fixture
def deaf():
    """A port that takes connections and says nothing that PostgreSQL would say."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def _elsewhere(address: Address, **changes) -> str:
    parts = {"user": address.user, "password": SECRET, "host": address.host, "port": address.port, "db": "nosuch"}
    parts |= changes
    return "postgresql://{user}:{password}@{host}:{port}/{db}".format(**parts)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


CASES = {
    "password": (lambda good: _elsewhere(good, db=good.database), "refuses the password of 'desk'"),
    "user": (lambda good: _elsewhere(good, user="nobody_here"), "refuses the password of 'nobody_here'"),
    "host": (lambda good: _elsewhere(good, host="no-such-host.invalid"), "no-such-host.invalid:.* cannot be found"),
    "port": (lambda good: _elsewhere(good, port=free_port()), "is not listening"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_part_is_one_clear_error(postgres, case, caplog, capfd):
    made, message = CASES[case]
    caplog.set_level(logging.DEBUG)
    store = FeatureStore(made(parse(postgres.url("postgres"))))
    with pytest.raises(EnvironmentProblem, match=message) as caught:
        store.symbols()
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None, "libpq's own error stays out of the traceback"
    said = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capfd.readouterr())
    assert SECRET not in said


def test_a_wrong_database_is_named(postgres):
    with pytest.raises(EnvironmentProblem, match="has no database 'nosuch'"):
        FeatureStore(postgres.url("nosuch")).symbols()


def test_a_server_that_says_nothing_is_given_up_on(deaf):
    url = f"postgresql://desk:{SECRET}@127.0.0.1:{deaf.getsockname()[1]}/features?connect_timeout=1"
    with pytest.raises(EnvironmentProblem, match=r"does not answer|cannot be used") as caught:
        FeatureStore(url).symbols()
    assert SECRET not in str(caught.value)


def test_a_server_that_speaks_otherwise(deaf):
    def greet():
        connection, _ = deaf.accept()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    thread = threading.Thread(target=greet)
    thread.start()
    url = f"postgresql://desk:{SECRET}@127.0.0.1:{deaf.getsockname()[1]}/features?sslmode=disable"
    with pytest.raises(EnvironmentProblem, match="PostgreSQL server at") as caught:
        FeatureStore(url).symbols()
    thread.join()
    assert SECRET not in str(caught.value)
