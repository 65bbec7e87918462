"""The quick way to read a command line gives what argparse gives, or leaves it to argparse."""

from __future__ import annotations

import pytest

from edge_runtime.cli import ARGUMENTS, COMMANDS, _parsed, _plain

PLAIN = (
    "run --config d.toml",
    "decide b.elb",
    "decide b.elb --source stdin",
    "decide --source stdin b.elb",
    "fit --budget d.toml b.elb",
    "capture --out o.csv --seconds 2.5 --rate 8 --channels a,b",
    "show p.json",
    "export-c b.elb --out here",
    "selftest",
    "operators",
    "version",
)
NOT_PLAIN = (
    "run",
    "run --config",
    "run --config=d.toml",
    "run --conf d.toml",
    "run --config d.toml more",
    "decide",
    "decide --help",
    "decide b.elb --sauce x",
    "decide -- b.elb",
    "capture --out o.csv --overwrite",
    "capture --out o.csv --seconds x",
    "capture --out o.csv --seconds -1",
    "version now",
)


@pytest.mark.parametrize("line", PLAIN)
def test_plain_words_mean_what_argparse_makes_of_them(line: str) -> None:
    command, *words = line.split()
    quick = _plain(command, words)
    assert quick is not None
    name, slow = _parsed(line.split())
    assert (name, vars(slow)) == (command, {"command": command} | vars(quick))


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_all_else_is_left_to_argparse(line: str) -> None:
    command, *words = line.split()
    assert _plain(command, words) is None


def test_every_command_has_its_arguments() -> None:
    assert sorted(ARGUMENTS) == sorted(COMMANDS)
