"""The settings file becomes environment, once, and never wins over what is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantdesk import home, settings
from quantdesk.errors import BadInput, BadParameter, UnknownName


def test_a_file_fills_the_environment_but_does_not_win(tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text('port = 9000\nadmin = "ada"\ncollaboration = true\nstate = "here"\n')
    environment = {"QUANTDESK_CONFIG": str(path), "QUANTDESK_ADMIN": "grace"}
    assert settings.apply(environment) == path
    assert environment == {
        "QUANTDESK_CONFIG": str(path),
        "QUANTDESK_ADMIN": "grace",
        "QUANTDESK_PORT": "9000",
        "QUANTDESK_COLLABORATION": "true",
        "QUANTDESK_STATE": str(tmp_path / "here"),
    }


def test_the_file_of_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quantdesk.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert settings.find({}) == tmp_path / "quantdesk.toml"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("prot = 1", UnknownName, "port"),
        ('port = "8000"', BadParameter, "no int"),
        ("port = true", BadParameter, "no int"),
        ("port = \n", BadInput, "line 1"),
    ],
)
def test_a_wrong_file_gets_one_clear_error(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "quantdesk.toml"
    path.write_text(text)
    with pytest.raises(error, match=words) as caught:
        settings.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.toml"):
        settings.apply({"QUANTDESK_CONFIG": str(tmp_path / "gone.toml")})


def test_the_state_directory_follows_its_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "a" / ".." / "b"))
    assert home.state_dir() == (tmp_path / "b").resolve()
    monkeypatch.delenv("QUANTDESK_STATE")
    root = home.checkout()
    assert root is not None
    assert home.state_dir() == root / "state"
    monkeypatch.setattr(home, "checkout", lambda: None)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home.state_dir() == tmp_path / "quantdesk"
