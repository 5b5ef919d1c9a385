"""Scenarios on the disk: those that ship, and a user's own. An edge module: it reads files.

``QUANTDESK_SCENARIOS_FOLDER`` names a folder of TOML files, one for each scenario; they stand beside the bundled ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput, UnknownName
from quantdesk.records import text_of
from quantdesk.scenarios.catalog.text import parse
from quantdesk.scenarios.scenario import Scenario

__all__ = ["ScenarioConfig", "all_scenarios", "load", "names", "read", "resolve"]


class ScenarioConfig(BaseSettings):
    """Where a user's own scenarios are.

    Attributes
    ----------
    folder
        ``QUANTDESK_SCENARIOS_FOLDER``: a folder of TOML files, or nothing.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_SCENARIOS_", frozen=True, extra="ignore")

    folder: Path | None = None

    @classmethod
    def from_env(cls) -> ScenarioConfig:
        """From the environment."""
        return cls()


@lru_cache(maxsize=1)
def _bundled() -> Mapping[str, Scenario]:
    files = sorted(
        (file for file in resources.files(__package__).iterdir() if file.name.endswith(".toml")),
        key=lambda file: file.name,
    )
    read = [parse(file.read_text(encoding="utf-8"), file.name) for file in files]
    return MappingProxyType({scenario.name: scenario for scenario in read})


def read(path: Path) -> Scenario:
    """The scenario of a TOML file.

    Raises
    ------
    BadInput
        It cannot be read, or a field is wrong; the message names file, line, field and value.
    """
    return parse(text_of(path, "scenario", "Name a TOML file of a scenario."), str(path))


def all_scenarios(config: ScenarioConfig | None = None) -> Mapping[str, Scenario]:
    """Every scenario by name: the bundled ones, in the order of time, then a user's own by name.

    Parameters
    ----------
    config
        From the environment when left out.

    Raises
    ------
    BadInput
        The folder is none, a file in it is wrong, or two scenarios share a name.
    """
    config = ScenarioConfig.from_env() if config is None else config
    found = {one.name: one for one in sorted(_bundled().values(), key=lambda one: (one.start, one.name))}
    if config.folder is None:
        return MappingProxyType(found)
    if not config.folder.is_dir():
        raise BadInput(f"{config.folder} is no folder.", "Set QUANTDESK_SCENARIOS_FOLDER to a folder of TOML files.")
    for file in sorted(config.folder.glob("*.toml")):
        scenario = read(file)
        if scenario.name in found:
            raise BadInput(f"{file} has the name of another scenario, {scenario.name!r}.", "Give it another name.")
        found[scenario.name] = scenario
    return MappingProxyType(found)


def names(config: ScenarioConfig | None = None) -> tuple[str, ...]:
    """Of every scenario, in the order of :func:`all_scenarios`."""
    return tuple(all_scenarios(config))


def resolve(name: str, config: ScenarioConfig | None = None) -> str:
    """The full name that a name, a short name or the beginning of a name means.

    Parameters
    ----------
    name
        ``"flash_crash"``, ``"covid"``, ``"9_11"``; capitals, spaces and hyphens do not matter.
    config
        From the environment when left out.

    Raises
    ------
    UnknownName
        None has it, or several do; the message offers the nearest names.
    """
    return _resolve(name, all_scenarios(config))


def load(name: str | Path, config: ScenarioConfig | None = None) -> Scenario:
    """A scenario by name, short name, or the path of a TOML file.

    Raises
    ------
    UnknownName
        There is none, or the name is ambiguous.
    BadInput
        The file cannot be read, is wrong, or bears the name of a bundled scenario that is another.
    """
    if isinstance(name, Path) or str(name).endswith(".toml"):
        scenario = read(Path(name))
        if _bundled().get(scenario.name, scenario) != scenario:
            raise BadInput(f"{name} has the name of another scenario, {scenario.name!r}.", "Give it another name.")
        return scenario
    scenarios = all_scenarios(config)
    return scenarios[_resolve(name, scenarios)]


def _resolve(name: str, scenarios: Mapping[str, Scenario]) -> str:
    wanted = str(name).strip().lower().replace(" ", "_").replace("-", "_").replace("/", "_")
    if wanted in scenarios:
        return wanted
    short = [one.name for one in scenarios.values() if wanted in one.aliases]
    begun = [full for full in scenarios if wanted and full.startswith(f"{wanted}_")]
    for found in (short, begun):
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            # All that it could mean are the names to offer.
            raise _Ambiguous(str(name)[:80], found)
    aliases = [alias for one in scenarios.values() for alias in one.aliases]
    raise UnknownName("scenario", str(name)[:80], [*scenarios, *aliases])


class _Ambiguous(UnknownName):
    """A short name that several scenarios have."""

    def __init__(self, name: str, found: list[str]) -> None:
        super().__init__("scenario", name, found)
        self.problem = f"The scenario {name!r} is ambiguous: it could be {' or '.join(found)}."
        self.remedy = "Give the full name."
        self.args = (f"{self.problem} {self.remedy}",)
