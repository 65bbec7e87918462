"""HTML as values. One rule: text is escaped where it becomes markup, here and nowhere else.

A page is one file: no script, nothing from the network, light and dark by the reader's own setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TypeAlias

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2329; --soft: #5b6670; --line: #d5dbe0; --card: #f5f7f8;
  --steady: #b9d3c2; --watch: #e8b93a; --drifted: #c2352b; --base: #9aa7b2; --now: #2f6db3; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #e4e8eb; --soft: #9aa5ae; --line: #39434b;
  --card: #1d2328; --steady: #3f6650; --watch: #d9a520; --drifted: #f0675c; --base: #6d7a85; --now: #6fb0f5; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem;
  background: var(--paper); color: var(--ink); }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .6rem; text-align: right; } th { font-weight: 600; }
td:first-child, th:first-child { text-align: left; overflow-wrap: anywhere; }
tr + tr td { border-top: 1px solid var(--line); } .side { display: flex; gap: 3rem; flex-wrap: wrap; }
pre { background: var(--card); padding: .7rem 1rem; overflow-x: auto; border-radius: 6px; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.key { max-width: 320px; margin: .5rem 0; }
.note { color: var(--soft); } .wide { overflow-x: auto; }
.verdict { border-left: 10px solid var(--line); background: var(--card); padding: .6rem 1rem; border-radius: 6px; }
.verdict p { margin: .3rem 0; } .verdict strong { font-size: 1.25rem; }
.verdict.steady { border-color: var(--steady); } .verdict.watch { border-color: var(--watch); }
.verdict.drifted { border-color: var(--drifted); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.card { background: var(--card); border-radius: 6px; padding: .6rem 1rem; min-width: 0; }
.card h3 { margin: .2rem 0; overflow-wrap: anywhere; } .card p { margin: .2rem 0; }
summary { cursor: pointer; color: var(--soft); }
"""


class Markup(str):
    """Text that is HTML already; every other text is escaped."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Sequence[Child] | None"


def tag(name: str, *children: Child, **attributes: str | float) -> Markup:
    """An element; `class_` is the attribute class, `_` in a name is `-`."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{_word(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{said}>{markup(children)}</{name}>")


def markup(child: Child) -> Markup:
    """Escaped, whatever it is; None is nothing."""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return Markup(escape(child))
    if child is None:
        return Markup("")
    if isinstance(child, int | float):
        return Markup(_word(child))
    return Markup("".join(markup(each) for each in child))


def table(head: Sequence[str], rows: Sequence[Sequence[Child]]) -> Markup:
    """A table with a head."""
    return tag(
        "div",
        tag("table", tag("tr", [tag("th", h, scope="col") for h in head]),
            [tag("tr", [tag("td", cell) for cell in row]) for row in rows]),
        class_="wide",
    )  # fmt: skip


def document(title: str, *body: Child) -> str:
    """The page."""
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    return f"{head}<title>{escape(title)}</title><style>{STYLE}</style>\n{tag('main', *body)}</html>\n"


def _word(value: str | float) -> str:
    return escape(value, quote=True) if isinstance(value, str) else f"{value:.6g}"
