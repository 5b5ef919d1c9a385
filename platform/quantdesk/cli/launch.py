"""``quantdesk up`` and ``quantdesk doctor``: stand the platform up, and see whether it is well."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.text import Text

from quantdesk import __version__
from quantdesk.cli.terminal import Json, emit, out, progress, table
from quantdesk.errors import BadInput

__all__ = ["register"]

MARKS = {"ok": "✓ ok", "warn": "! warn", "fail": "✗ fail"}
Port = Annotated[
    int | None, typer.Option(help="Port of the hub on 127.0.0.1; QUANTDESK_PORT, else 8000.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the two commands to the top level."""
    app.command()(up)
    app.command()(doctor)


def up(
    port: Port = None,
    setup_only: Annotated[bool, typer.Option("--setup-only", help="Do the steps, but do not start the hub.")] = False,
    new_admin_secret: Annotated[
        bool, typer.Option("--new-admin-secret", help="Make another one-time secret for the administrator.")
    ] = False,
) -> None:
    """Set everything up, once, and start the hub. Ctrl-C stops all that it started."""
    from quantdesk.hub import launch, steps
    from quantdesk.hub import up as setup
    from quantdesk.hub.accounts import prepare_state
    from quantdesk.hub.config import HubConfig, HubFiles
    from quantdesk.hub.first_login import ensure_admin, first_login_pending

    config, files = HubConfig.from_env(port=port), HubFiles()
    if new_admin_secret and config.login != "native":
        raise BadInput(f"With QUANTDESK_LOGIN={config.login} there is no one-time secret.", "Leave the option out.")
    os.umask(0o022)  # data and features are for every account to read; what is private sets its own modes
    if not setup_only:
        launch.check_port(config.port)
    prepare_state(files, isolated=config.isolated)
    out.print(f"quantdesk {__version__} · state in {files.state}", style="bold", markup=False)

    def ended(done: setup.Done) -> None:
        spent = "done before" if done.skipped else f"{done.seconds:.0f} s"
        out.print(Text.assemble(("  ✓ ", "green"), f"{done.step.title:<14}", done.sentence, (f"  {spent}", "dim")))

    with progress() as shown:
        setup.run(steps.standard(files.state), files.state, lambda step: shown, ended)
    if setup_only:
        return
    admin = config.administrator

    def ready(address: str) -> None:
        # Not before the hub is there: a secret that is made and never shown would be lost.
        native = config.login == "native"
        secret = ensure_admin(files, admin, renew=new_admin_secret) if native else None
        out.print(Text.assemble(("  ✓ ", "green"), f"{'Hub':<14}", "ready\n"))
        rows = [("Open", address)]
        if secret is not None:
            rows.append(("Log in as", f"{admin}   with the one-time secret   {secret}"))
            rows.append(("", "It works once, and leads to the choice of your own password."))
        elif not native:
            how = "the provider" if config.login == "oidc" else "the directory"
            rows.append(("Log in", f"as {how} knows you" if config.isolated else f"as {how} knows you, {admin}"))
        elif first_login_pending(files, admin):
            rows.append(("Log in as", f"{admin}   with the one-time secret that was printed the first time"))
            rows.append(("", "Lost it? Stop this and run: .venv/bin/quantdesk up --new-admin-secret"))
        else:
            rows.append(("Log in as", f"{admin}, or as any user that {admin} approved"))
        if config.isolated and native:
            rows.append(("Others", f"sign up at {address}hub/signup, and {admin} approves them"))
        rows.append(("Reports", str(files.state / "reports" / "runs")))
        rows.append(("Stop", "Ctrl-C"))
        for name, value in rows:
            out.print(Text.assemble(("  " + f"{name:<11}", "bold"), value))

    def told(sentence: str) -> None:
        out.print(Text.assemble(("  ✓ ", "green"), f"{'Database':<14}", sentence))

    def warned(sentence: str) -> None:
        out.print(Text.assemble(("  ! ", "yellow"), f"{'Hub':<14}", sentence))

    launch.serve(config, ready, told=told, warned=warned)
    out.print("\n  Stopped: hub, proxy and user servers.")


def doctor(port: Port = None, as_json: Json = False) -> None:
    """Check Python, packages, data, features, ports, disk and permissions; say what to do about each finding."""
    from quantdesk.hub.config import HubConfig
    from quantdesk.hub.doctor import examine

    findings = examine(HubConfig.from_env(port=port).port)
    if as_json:
        emit(findings)
    else:
        columns = ("check", "status", "found", "what to do")
        table("", columns, [(one.check, MARKS[one.status], one.found, one.remedy) for one in findings])
    if any(one.status == "fail" for one in findings):
        raise typer.Exit(4)
