"""Self-contained HTML pages: everything that enters one is escaped, and nothing is ever fetched.

Every page carries plotly.js itself. MLflow 3.17 shows an HTML artifact as a `blob:` document in an iframe
with `sandbox="allow-scripts"`; there a script beside the page has no address, so a shared `plotly.min.js`
would leave every chart blank.
"""

import html
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs


class Html(str):
    """Markup. Any other text is escaped when it becomes part of an element."""

    __slots__ = ()


def element(name: str, *children: object, **attributes: str) -> Html:
    """Build an element.

    Args:
        name: Tag, such as `td`.
        children: `Html` is kept, everything else is converted to text and escaped.
        attributes: A trailing underscore is dropped, so that `class_` can be written.
    """
    written = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """Put pieces one after the other, escaping all that is not `Html`."""
    return Html("".join(child if _is_markup(child) else html.escape(str(child)) for child in children))


def section(title: str, *body: object) -> Html:
    """Build a card with a heading."""
    return element("section", element("h2", title), *body)


def facts_table(facts: Mapping[str, object]) -> Html:
    """Build a table of names and what they are."""
    rows = (element("tr", element("th", name), element("td", value)) for name, value in facts.items())
    return element("table", element("tbody", *rows), class_="facts")


def listing(heads: Sequence[str], rows: Sequence[Html]) -> Html:
    """Build a table from headings and finished rows."""
    head = element("tr", *(element("th", name) for name in heads))
    return element("table", element("thead", head), element("tbody", *rows))


def chart(figure: go.Figure, *, height: int) -> Html:
    """Embed a figure as data, which the page's script draws.

    Args:
        figure: Any plotly figure; its width follows the page.
        height: px.
    """
    data = str(figure.to_json())
    # Inside <script>, HTML entities mean nothing; JSON's own escapes keep a "</script>" in a label from
    # ending it.
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return element(
        "div",
        element("script", Html(data), type="application/json"),
        element("div", style=f"height:{height}px"),
        class_="chart",
    )


def page(*, title: str, body: Html, charts: bool) -> Html:
    """Build a whole page.

    Args:
        title: Text of the browser's tab.
        body: Content of the page.
        charts: Whether the body holds charts; plotly.js takes 4 to 5 MB.
    """
    scripts = (
        join(element("script", Html(get_plotlyjs())), element("script", Html(_DRAW))) if charts else Html()
    )
    head = join(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Html(_STYLE)),
    )
    content = element("body", element("main", body), scripts)
    return join(Html("<!doctype html>\n"), element("html", element("head", head), content, lang="en"))


def _is_markup(child: object) -> TypeGuard[Html]:
    return isinstance(child, Html)


# The browser itself then refuses whatever a chart or a forgotten escape would fetch.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

# Without `showSendToCloud: false`, plotly.js 4 shows a button that sends the data to Plotly's servers.
_DRAW = """
const settings = {responsive: true, displaylogo: false, showSendToCloud: false};
for (const holder of document.querySelectorAll(".chart")) {
  const [source, target] = holder.children;
  const figure = JSON.parse(source.textContent);
  Plotly.newPlot(target, figure.data, figure.layout, settings);
}
"""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6577; --line: #dfe3ea; --back: #f5f6f9;
  --card: #ffffff; --accent: #1f6feb; --good: #1a7f4b; --bad: #c0362c; --row: #f0f4fb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --soft: #9aa5b8; --line: #333c4b; --back: #14181f; --card: #1c222c;
    --accent: #6ea8ff; --good: #58c48b; --bad: #ff8a80; --row: #232c3a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.2rem 1.2rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.12rem; margin: 0 0 .7rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 82ch; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.3rem 1.2rem; margin: 1rem 0; }
code, pre { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 7px; padding: .6rem .8rem;
  margin: .35rem 0 .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.note { border-left: 3px solid var(--accent); padding-left: .8rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1rem 0 .2rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem 1rem;
  min-width: 7.5rem; flex: 1; }
.tile b { display: block; font-size: 1.4rem; line-height: 1.3; font-weight: 650; white-space: nowrap; }
.tile span { color: var(--soft); font-size: .85rem; }
.scroll { overflow: auto; max-height: 34rem; border: 1px solid var(--line); border-radius: 7px; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
.board td, .board th { white-space: nowrap; }
.board thead th { position: sticky; top: 0; background: var(--card); box-shadow: inset 0 -1px var(--line);
  border-bottom: 0; }
.board .best { background: var(--row); font-weight: 600; }
.board .failed, .facts th { color: var(--soft); }
.facts th { font-weight: 500; width: 13rem; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.number { text-align: right; }
.chart { margin: .4rem 0; overflow-x: auto; }
@media (prefers-color-scheme: dark) { .optuna .chart { background: #ffffff; border-radius: 7px; } }
"""
