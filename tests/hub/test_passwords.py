"""Which passwords are accepted, how they are compared, and how often one may guess."""

from __future__ import annotations

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.hub import passwords


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "5 characters"),
        ("123456789", "9 characters"),
        ("x" * 80, "longer than 72 bytes"),
        ("é" * 40, "longer than 72 bytes"),
        ("abababababab", "different"),
        ("9182736450918", "digits only"),
        ("ana-has-a-cat", "user name"),
        ("Ana-has-a-cat", "user name"),
        ("password123!", "most common"),
        ("!!!iloveyou99", "most common"),
        ("tab\there it is", "control character"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str, says: str) -> None:
    assert says in (passwords.objection(password, "ana") or "")


@pytest.mark.parametrize(
    "password", ["orange tiger 77 moon", "j4!kd)2mQz", "Grüße aus Köln", "correct horse battery staple"]
)
def test_a_good_password_is_accepted(password: str) -> None:
    assert passwords.objection(password, "ana") is None


def test_the_list_of_common_passwords_is_there() -> None:
    assert {"password", "qwerty", "123456"} <= passwords.common_passwords()
    assert len(passwords.common_passwords()) > 9000


def test_a_password_fits_its_own_hash_and_no_other() -> None:
    kept = passwords.hashed("orange tiger 77 moon")
    assert bcrypt.checkpw(b"orange tiger 77 moon", kept)  # bcrypt itself agrees
    assert passwords.matches("orange tiger 77 moon", kept)
    assert not passwords.matches("orange tiger 77 moo", kept)
    assert not passwords.matches("orange tiger 77 moon", None)


@pytest.mark.parametrize("hostile", ["x" * 73, "é" * 37, "a\0b" * 4, "\ud800" * 12, "", "x" * 1_000_000])
def test_no_input_makes_the_comparison_fail(hostile: str) -> None:
    assert not passwords.matches(hostile, passwords.hashed("orange tiger 77 moon"))


@given(st.text(max_size=100), st.from_regex(r"[a-z][a-z0-9_-]{0,30}", fullmatch=True))
def test_any_text_is_judged_and_what_is_accepted_can_be_kept(password: str, user: str) -> None:
    if passwords.objection(password, user) is None:
        assert len(password) >= passwords.SHORTEST
        assert len(password.encode()) <= passwords.MOST_BYTES


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_name_is_locked_after_so_many_failures_and_free_again_later() -> None:
    clock = Clock()
    lock = passwords.Lockout(3, 60, clock)
    for _ in range(3):
        assert lock.remaining("ana") == 0
        lock.failed("ana")
    assert lock.remaining("ana") == 60
    assert lock.remaining("bob") == 0
    clock.now += 59
    assert lock.remaining("ana") == 1
    clock.now += 1
    assert lock.remaining("ana") == 0
    lock.failed("ana")
    assert lock.remaining("ana") == 0, "the count begins again"


def test_a_lock_also_ends_after_more_than_a_day_and_success_forgets_failures() -> None:
    clock = Clock()
    lock = passwords.Lockout(1, 60, clock)
    lock.failed("ana")
    clock.now += 86_400 + 10
    assert lock.remaining("ana") == 0
    lock.failed("ana")
    lock.succeeded("ana")
    assert lock.remaining("ana") == 0


def test_names_that_nobody_has_do_not_fill_the_memory() -> None:
    lock = passwords.Lockout(3, 60, Clock())
    for number in range(25_000):
        lock.failed(f"user{number}")
    assert len(lock._failures) <= 10_001
