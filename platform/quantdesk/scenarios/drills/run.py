"""A drill: a desk trades on a real path, something breaks, and its alert rules look on. An edge module: it runs a desk.

The same orders are sent with the fault and without it, second by second on the market's clock. What fires in both says
nothing about the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.orders.alerts import Alert, AlertRules, Surroundings, Watch, in_force, observe_desk
from quantdesk.orders.amounts import MICRO, SECOND, moment
from quantdesk.orders.desk import Desk, DeskConfig
from quantdesk.orders.executions import Kind
from quantdesk.orders.guardrails import Guardrails
from quantdesk.orders.guardrails.files import bundled as bundled_policy
from quantdesk.orders.ledger import EntryKind, MemoryLedger, Stored
from quantdesk.orders.order import Action, Order, OrderType
from quantdesk.orders.routing.config import RoutingConfig
from quantdesk.orders.routing.router import SmartOrderRouter
from quantdesk.orders.venues import SimulatedMarket
from quantdesk.scenarios.drills.drill import DRILLS, Drill, Plan
from quantdesk.scenarios.drills.faults import Line, Window
from quantdesk.scenarios.drills.result import Detection, DrillReport, DrillResult, Kept
from quantdesk.scenarios.run import Stage

__all__ = ["drill", "run_drills"]

_USER = "drill"
_CASH = 1_000_000 * MICRO
_REST_EVERY = 5
"""Every fifth order rests below the market."""
_NONE = Drill("none", "Nothing", "Nothing breaks.", ())


def drill(
    name: str | Drill, stage: Stage, plan: Plan | None = None, *, rules: AlertRules | None = None, at: int | None = None
) -> DrillResult:
    """Break something, and see who notices.

    Parameters
    ----------
    name
        Of :data:`DRILLS`, or a drill of one's own.
    stage
        Where: one of minutes, such as ``engine.stage("flash_crash", duration_minutes=30)``.
    plan
        Times, sizes and the seed.
    rules
        Alert rules; those in force when None.
    at
        When the drill starts, in nanoseconds since 1970 (UTC): a minute after the path begins when None.

    Raises
    ------
    UnknownName
        There is no such drill.
    BadInput
        The stage is one of days, or too short.
    """
    return run_drills(stage, [name], plan, rules=rules, at=at).results[0]


def run_drills(
    stage: Stage,
    names: Sequence[str | Drill] = tuple(DRILLS),
    plan: Plan | None = None,
    *,
    rules: AlertRules | None = None,
    at: int | None = None,
) -> DrillReport:
    """Several drills, each on its own, and the run without a fault that all are held against; see :func:`drill`."""
    plan = plan or Plan()
    rules = rules if rules is not None else in_force()
    drills = [_known(name) for name in names]
    ground = _ground(stage, plan, at)
    control = _Run(ground, _NONE, rules).go()
    return DrillReport(tuple(_Run(ground, one, rules).go().judged(control, rules) for one in drills))


def _known(name: str | Drill) -> Drill:
    if isinstance(name, Drill):
        return name
    if name not in DRILLS:
        raise UnknownName("drill", str(name), DRILLS)
    return DRILLS[name]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a drill and its control share."""

    stage: Stage
    plan: Plan
    start: int
    window: Window
    symbols: tuple[str, ...]


def _ground(stage: Stage, plan: Plan, at: int | None) -> _Ground:
    path = stage.path
    if not path.is_intraday:
        raise BadInput(
            f"{path.name} has one bar a day.",
            'A drill needs minutes: engine.stage("flash_crash", duration_minutes=30).',
        )
    start = int(path.begins[0]) + 60 * SECOND if at is None else at
    until = start + round(plan.seconds * SECOND)
    bars = (path.begins < until) & (path.ends > start)
    spans = path.begins[bars], path.ends[bars]
    if start < path.begins[0] or not bars.any() or spans[1][-1] < until or (spans[0][1:] > spans[1][:-1]).any():
        raise BadInput(
            f"The market of {path.name} is not open for {plan.seconds:g} s from {moment(start)} on.",
            "Start it earlier, make its plan shorter, or take a stage of more minutes.",
        )
    quoted = [name for name in path.traded if np.isfinite(path.close[bars, path.column(name)]).all()]
    if not quoted:
        raise BadInput(f"Nothing of {path.name} trades through the whole drill.", "Start it at another time.")
    return _Ground(stage, plan, start, plan.window(start), tuple(quoted[: plan.symbols]))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of one run."""

    ground: _Ground
    drill: Drill
    alerts: tuple[Alert, ...]
    kept: Kept
    ledger: str

    def judged(self, control: _Seen, rules: AlertRules) -> DrillResult:
        """Held against the run without a fault."""
        window = self.ground.window
        detections = []
        for condition in self.drill.expects:
            watching = [rule.rule_id for rule in rules if rule.condition == condition and rule.enabled]
            for rule in watching or [""]:
                first = _first(self.alerts, rule, window)
                after = None if first is None else (first.at - window.begins) / SECOND
                anyway = _first(control.alerts, rule, window) is not None
                detections.append(Detection(condition, rule, after, anyway))
        return DrillResult(
            self.drill.name,
            self.drill.title,
            self.drill.about,
            self.ground.stage.path.name,
            window,
            tuple(detections),
            self.alerts,
            control.alerts,
            self.kept,
            self.ledger,
        )


def _first(alerts: Sequence[Alert], rule: str, window: Window) -> Alert | None:
    return next((one for one in alerts if one.rule == rule and window.holds(one.at)), None)


class _Run:
    """A desk that trades through the drill, and its alert rules."""

    def __init__(self, ground: _Ground, fault: Drill, rules: AlertRules) -> None:
        stage, plan = ground.stage, ground.plan
        self.ground, self.fault, self.plan = ground, fault, plan
        self.exchange: SimulatedMarket = stage.market.market(plan.seed, stage.halts)
        self.exchange.advance(ground.start)
        self.line: Line = fault.line(self.exchange, ground.window)
        routing = RoutingConfig(earliest_terms=True)
        self.desk = Desk(
            self.line,
            MemoryLedger(),
            stage.halts if fault.feed is None else fault.feed(stage.halts, ground.window),
            guardrails=Guardrails(stage.config.policy or bundled_policy()),
            facts=lambda symbol: stage.market.facts(symbol, self.exchange.now(), stage.label),
            config=DeskConfig(cash=_CASH, seed=plan.seed, routing=routing),
        )
        world = self.desk.world
        world.router = SmartOrderRouter(config=routing, book=world.config.book, clock=lambda: 0)
        self.watch = Watch(rules)
        self.around = Surroundings(
            symbols=ground.symbols, sectors={name: stage.path.asset(name).sector for name in ground.symbols}
        )
        self.sent = 0

    def go(self) -> _Seen:
        """From the start to the end, and the books after it."""
        plan, start = self.plan, self.ground.start
        step, every = round(plan.look_s * SECOND), round(plan.order_every_s * SECOND)
        alerts: list[Alert] = []
        for at in range(start, start + round(plan.seconds * SECOND), step):
            self.exchange.advance(at)
            self.fault.act(self.desk, self.ground.window, self.ground.symbols[0], plan.look_s)
            while start + self.sent * every <= at:
                self._send()
            self.desk.poll()
            alerts += self.watch.look(observe_desk(self.desk, self.around, after=self.watch.seq))
        return _Seen(self.ground, self.fault, tuple(alerts), self._books(), self.desk.ledger.head()[1])

    def _send(self) -> None:
        """The next order of the desk's own flow: bought, and sold again; now and then one that rests."""
        number, self.sent = self.sent, self.sent + 1
        symbol = self.ground.symbols[number // 2 % len(self.ground.symbols)]
        held, bid = self.desk.portfolio.position(symbol).shares, self.exchange.nbbo_at(symbol, self.exchange.now()).bid
        shares = max(int(self.plan.dollars * MICRO / bid), 1) if bid else 1
        if held > 0:
            self.desk.execute(Order(symbol, Action.SELL, held, user_id=_USER))
        elif bid and number % _REST_EVERY == 0:
            limit = Decimal(max(bid * 99 // 1_000_000, 1)) / 100  # a hundredth below
            self.desk.execute(
                Order(symbol, Action.BUY, shares, order_type=OrderType.LIMIT, limit_price=limit, user_id=_USER)
            )
        else:
            self.desk.execute(Order(symbol, Action.BUY, shares, user_id=_USER))

    # ---------------------------------------------------------------------------------------------------------- books

    def _books(self) -> Kept:
        """End what is open, and hold the ledger against what the exchanges did."""
        desk, reports = self.desk, self.exchange.reports
        for order_id in desk.ledger.orders(open_only=True):
            desk.cancel(order_id)
        desk.poll()
        differences = len(desk.reconcile(self.ground.start))
        made = {
            one.execution_id: (child.symbol, child.side * one.shares)
            for client_id, child in reports.children.items()
            for one in reports.of(client_id) or ()
            if one.kind is Kind.FILL
        }
        entries = list(desk.ledger.entries())
        told = Counter(
            str(one.payload["execution_id"])
            for one in entries
            if one.kind is EntryKind.EXECUTION and one.payload["kind"] == Kind.FILL
        )
        traded: Counter[str] = Counter()
        for symbol, shares in made.values():
            traded[symbol] += shares
        positions = desk.portfolio.positions
        orders, blocked, added = self._during(entries)
        return Kept(
            orders=orders,
            blocked=blocked,
            added=added,
            fills=len(made),
            lost=len(made.keys() - told.keys()),
            doubled=sum(count - 1 for count in told.values()) + len(told.keys() - made.keys()),
            misheld=sum(abs(traded[name] - positions.get(name, 0)) for name in {*traded, *positions}),
            differences=differences,
            unresolved=len(desk.ledger.orders(open_only=True)),
            verified=self._is_verified(),
        )

    def _during(self, entries: Sequence[Stored]) -> tuple[int, int, int]:
        """Orders that came while the fault lasted; how many were blocked; how many bought something all the same."""
        came = {
            one.order_id: str(one.payload["action"])
            for one in entries
            if one.kind is EntryKind.ORDER and self.ground.window.holds(one.at)
        }
        blocked = {
            one.order_id
            for one in entries
            if one.kind is EntryKind.DECISION and one.order_id in came and not one.payload["allowed"]
        }
        filled = {
            one.order_id
            for one in entries
            if one.kind is EntryKind.EXECUTION and one.payload["kind"] == Kind.FILL and one.order_id in came
        }
        return len(came), len(blocked), sum(came[order_id] == Action.BUY for order_id in filled)

    def _is_verified(self) -> bool:
        try:
            self.desk.ledger.verify()
        except DataError:
            return False
        return True
