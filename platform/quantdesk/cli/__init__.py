"""The command line: ``quantdesk ...``. One command makes one call. An edge module.

Exit codes
----------
===  =======================================================================
0    done
1    an error that quantdesk did not expect: please report it
2    the command or its input is wrong: unknown name, dates, parameter
3    a file or a store is corrupt, half-written or missing
4    this machine: port, disk, permission, package; or `doctor` found a fault
5    a report or another long run ended without its result
6    a check did not pass: late features, an online value that differs, a
     feature that has shifted, a leak, an order that guardrails block; the
     result says which
130  interrupted with Ctrl-C
===  =======================================================================
"""

from __future__ import annotations

import sys

import typer

from quantdesk import __version__, settings
from quantdesk.cli import (
    backup,
    data,
    features,
    guardrails,
    halts,
    homes,
    kernels,
    launch,
    order,
    report,
    scenario,
    smoke,
    worker,
)
from quantdesk.cli.terminal import fail
from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.reports import grammar

__all__ = ["app", "main"]

app = typer.Typer(
    name="quantdesk",
    help="The research platform of a quant desk: real history, point-in-time features, backtests, orders, reports.",
    epilog="Exit codes: 0 done; 2 wrong input; 3 data; 4 machine; 5 a run failed; 6 a check failed; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
#: What Typer raises for an unknown option or command and for a missing argument; it exports only its subclasses.
_UsageError: type[typer.BadParameter] = typer.BadParameter.__bases__[0]

launch.register(app)
backup.register(app)
homes.register(app)
smoke.register(app)
app.add_typer(data.app, name="data")
app.add_typer(features.app, name="features")
app.add_typer(order.app, name="order")
app.add_typer(halts.app, name="halts")
app.add_typer(guardrails.app, name="guardrails")
app.add_typer(scenario.app, name="scenario")
app.add_typer(report.app, name="report")
app.add_typer(kernels.app, name="kernels")
worker.register(app)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    """Read the settings file before any command."""
    if version:
        typer.echo(f"quantdesk {__version__}")
        raise typer.Exit
    settings.apply()


def main() -> None:
    """Run one command; end with its exit code."""
    grammar.spare()
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except QuantdeskError as error:
        fail(error, as_json=as_json)
    except _UsageError as error:
        problem = error.format_message()
        if not problem:  # the help was shown, because nothing was asked for
            raise SystemExit(2) from None
        fail(BadInput(problem, "See --help."), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say, and nobody to say it to.
        sys.stderr.close()
        raise SystemExit(0) from None
    raise SystemExit(code if isinstance(code, int) else 0)
