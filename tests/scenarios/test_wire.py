"""Requests and answers over HTTP: the shape that callers rely on, and bodies that nobody should send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, QuantdeskError, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import ScenarioEngine, StressResult
from quantdesk.scenarios.wire import Answer, Request, answered, read

BODY = {
    "scenario_name": "volmageddon",
    "strategies": ["momentum_alpha"],
    "portfolio": {"cash": 1_000_000, "AAPL": 500},
    "duration_minutes": None,
}


@pytest.fixture(scope="module")
def answer(store: MarketStore) -> Answer:
    return answered(read(json.dumps(BODY)), ScenarioEngine(store).run)


def test_the_answer_has_the_shape_that_callers_rely_on(answer: Answer) -> None:
    told = json.loads(answer.model_dump_json())
    assert set(told) >= {"scenario_id", "results", "recommendations"}
    assert set(told["results"]) == {
        "pnl_impact", "max_drawdown", "risk_limit_breaches", "execution_failures", "system_alerts",
    }  # fmt: skip
    for count in ("risk_limit_breaches", "execution_failures", "system_alerts"):
        assert isinstance(told["results"][count], int)
        assert told["results"][count] == len(told["events"][count])
    assert told["results"]["risk_limit_breaches"] > 0
    assert -100 < told["results"]["max_drawdown"] < -1  # percent
    assert told["results"]["pnl_impact"] < -10_000  # dollars
    assert told["scenario_id"].startswith("volmageddon_2018-")
    assert all(isinstance(one, str) for one in told["recommendations"])


def test_the_answer_is_the_result_and_can_be_read_again(answer: Answer, store: MarketStore) -> None:
    result = ScenarioEngine(store).run("volmageddon", ["momentum_alpha"], BODY["portfolio"])
    assert answer.scenario_id == result.scenario_id
    again = Answer.model_validate_json(answer.model_dump_json())
    assert again == answer


def test_recommendations_are_sentences(store: MarketStore) -> None:
    class Found:
        sentence = "A stop 5 % away would have saved $12,000."

        def to_dict(self) -> dict[str, float]:
            return {"saved": 12_000.0}

    def run(*args: object, **settings: object) -> StressResult:
        import dataclasses

        result = ScenarioEngine(store).run("volmageddon", ["hold"], {"cash": 10})
        return dataclasses.replace(result, recommendations=(Found(),))

    found = answered(Request(scenario_name="volmageddon", portfolio={"cash": 10.0}), run)
    assert found.recommendations == [Found.sentence]
    assert found.recommendation_details == [{"saved": 12_000.0}]


def test_what_is_left_out_has_its_default() -> None:
    request = read('{"scenario_name": "covid", "portfolio": {"cash": 1}}')
    assert (request.strategies, request.duration_minutes, request.seed) == (["momentum_alpha"], None, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scenario": "covid"}, "scenario"),
        ({"scenario_name": "../../etc/passwd"}, r"scenario_name is '\.\./\.\./etc/passwd'"),
        ({"scenario_name": "/tmp/mine.toml"}, "scenario_name is '/tmp/mine.toml'"),
        ({"scenario_name": "covid\x00"}, "scenario_name"),
        ({"scenario_name": "covid\n"}, "scenario_name"),
        ({"scenario_name": ""}, "scenario_name is ''"),
        ({"scenario_name": 5}, "scenario_name is 5"),
        ({"strategies": []}, r"strategies is \[\]"),
        ({"strategies": "momentum_alpha"}, "strategies is 'momentum_alpha'"),
        ({"strategies": ["hold"] * 1_000_000}, "at most 20"),
        ({"portfolio": {}}, "portfolio is {}"),
        ({"portfolio": {f"S{number}": 1.0 for number in range(501)}}, "at most 500"),
        ({"portfolio": {"cash": "1000"}}, "portfolio.cash is '1000'"),
        ({"portfolio": {"cash": float("nan")}}, "portfolio.cash is nan"),
        ({"portfolio": {"cash": float("inf")}}, "portfolio.cash is inf"),
        ({"portfolio": {"cash": True}}, "portfolio.cash is True"),
        ({"duration_minutes": 0}, "duration_minutes is 0"),
        ({"duration_minutes": 1.5}, "duration_minutes is 1.5"),
        ({"duration_minutes": 10**12}, "duration_minutes is 1000000000000"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_a_hostile_body_is_refused_with_the_field_and_the_value(change: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read(json.dumps({**BODY, **change}))
    assert len(str(caught.value)) < 500  # nothing of a megabyte comes back


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", "null", "[]", "{", '{"a": ' * 5000, b"\x00" * 100])
def test_what_is_no_object_is_refused(body: bytes | str) -> None:
    with pytest.raises(BadInput, match="scenario_name"):
        read(body)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_no_body_breaks_the_reader(body: str | bytes) -> None:
    try:
        read(body)
    except BadInput as error:
        assert error.remedy  # noqa: PT017 (whatever is no request is refused this way)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"scenario_name": "nothing_2050"}, UnknownName),
        ({"strategies": ["os.system"]}, UnknownName),
        ({"strategies": ["/tmp/x.ipynb"]}, UnknownName),
        ({"portfolio": {"cash": -1.0}}, BadInput),
        ({"portfolio": {"cash": 1e300}}, BadInput),
        ({"portfolio": {"TSLA": 1.0}}, UnknownName),
    ],
)
def test_what_the_engine_refuses_is_an_error_of_ours(store: MarketStore, change: dict[str, object], kind: type) -> None:
    with pytest.raises(QuantdeskError) as caught:
        answered(read(json.dumps({**BODY, **change})), ScenarioEngine(store).run)
    assert isinstance(caught.value, kind)


def test_the_schema_says_what_is_asked_and_answered() -> None:
    asked, told = Request.model_json_schema(), Answer.model_json_schema()
    assert set(asked["required"]) == {"scenario_name", "portfolio"}
    assert asked["additionalProperties"] is False
    assert asked["properties"]["strategies"]["maxItems"] == 20
    counts = told["$defs"]["Counts"]["properties"]
    assert counts["system_alerts"]["type"] == "integer"
    assert counts["max_drawdown"]["maximum"] == 0
