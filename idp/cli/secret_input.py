"""Where passwords and secrets come from: a hidden prompt or standard input, never an argument that `ps` would show."""

import sys

import click


def on_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def prompted_password() -> str:
    """Asks twice, unseen, on standard error so that `--json` stays one document. Raises click.Abort."""
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    return password


def piped(what: str) -> str:
    """All of standard input but the line end after it. Raises click.ClickException when that is nothing, or no text."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise click.ClickException(f"The {what} on standard input is not UTF-8 text; encode it so.") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret or "\n" in secret:
        raise click.ClickException(f"Standard input must hold one line, the {what}.")
    return secret
