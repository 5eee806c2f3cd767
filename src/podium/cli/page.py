"""A page that stands alone: one file, no script, no style from elsewhere, no picture to fetch.

Decides: its frame, style and tables; the console's colours, light and dark. Never: what is on it.
"""

from collections.abc import Iterable, Sequence
from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{
  color-scheme: light dark;
  --ground: #f5f6f8; --surface: #ffffff; --ink: #16202b; --soft: #536070; --line: #dfe4ea; --accent-ground: #e6f1f8;
}}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: #0f141a; --surface: #171e26; --ink: #e6ebf1; --soft: #a2afbd; --line: #2a3440;
    --accent-ground: #17303f; }}
}}
@media print {{ section {{ break-inside: avoid }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Noto Sans", "Liberation Sans", sans-serif }}
main {{ max-width: 84rem; margin: 0 auto; padding: 2rem 1.5rem 3rem; display: grid; gap: 1.25rem;
  grid-template-columns: minmax(0, 1fr) }}
h1 {{ margin: 0; font-size: 1.5rem; line-height: 1.25; letter-spacing: -0.01em; overflow-wrap: anywhere }}
h2 {{ margin: 0 0 0.75rem; font-size: 1.125rem; line-height: 1.3 }}
p {{ margin: 0 0 0.75rem; max-width: 48rem }}
p:last-child {{ margin-bottom: 0 }}
.wide + p {{ margin-top: 1rem }}
header p, .soft, figcaption {{ color: var(--soft) }}
header p {{ margin-top: 0.5rem }}
section {{ background: var(--surface); border: 1px solid var(--line); border-radius: 0.5rem; padding: 1.25rem }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th, td {{ padding: 0.4rem 0.75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }}
th {{ font-size: 0.8125rem; font-weight: 600; color: var(--soft) }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0.5rem }}
td:first-child {{ font-weight: 600 }}
tr:last-child td {{ border-bottom: 0 }}
tr.marked td {{ background: var(--accent-ground) }}
.words td {{ white-space: normal; text-align: left; vertical-align: top }}
.words td {{ overflow-wrap: anywhere }}
.words td:first-child {{ white-space: nowrap; width: 14rem; overflow-wrap: normal }}
@media (max-width: 40rem) {{ .words td:first-child {{ white-space: normal; width: 6rem }} }}
.words th {{ text-align: left }}
code {{ font: 0.92em ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace }}
.grid {{ display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)) }}
figure {{ margin: 0; min-width: 0; overflow-x: auto }}
figcaption {{ font-size: 0.8125rem; font-weight: 600; margin-bottom: 0.25rem }}
svg {{ width: 100%; height: auto; min-width: 32rem; max-width: 52rem; display: block }}
</style>
</head>
<body><main>
<header><h1>{title}</h1>{lead}</header>
{body}
</main></body>
</html>
"""


def page(title: str, lead: str, sections: Iterable[str]) -> str:
    """The whole page: `title` and `lead` are text, each of `sections` is HTML of `section`."""
    told = f"<p>{escape(lead)}</p>" if lead else ""
    return _PAGE.format(title=escape(title), lead=told, body="\n".join(sections))


def section(title: str, *blocks: str) -> str:
    """A titled part of the page: HTML blocks under a heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(blocks)}</section>"


def said(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def figure(caption: str, drawn: str) -> str:
    """An SVG figure (`figures.py`) under its caption."""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawn}</figure>"


def grid(figures: Iterable[str]) -> str:
    """Figures side by side where there is room."""
    return f'<div class="grid">{"".join(figures)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: str = "", words: bool = False) -> str:
    """A table of text cells; the row whose first cell is `marked` stands out; `words`: cells of text, not of numbers.

    Without any text in `head` it has no head.
    """
    lines = [
        f"<tr{' class=marked' if marked and row[0] == marked else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    ]
    titles = f"<tr>{''.join(f'<th>{escape(each)}</th>' for each in head)}</tr>" if any(head) else ""
    kind = ' class="words"' if words else ""
    return f'<div class="wide"><table{kind}>{titles}{"".join(lines)}</table></div>'
