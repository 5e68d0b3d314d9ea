"""A picture of figures side by side, as SVG: a panel a figure, a bar a row, the number behind it."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, NAME, LINE, HEAD = 720, 220, 22, 34  # pixels
FILL = ("#0f766e", "#94a3b8")  # the best of a panel, the others


def svg(panels: Sequence[tuple[str, Mapping[str, tuple[float, str]], bool]]) -> str:
    """Each panel is its title, row → (value, how it is written), and whether less is better."""
    parts, y = [], 8
    for title, rows, less in panels:
        values = [value for value, _ in rows.values()]
        most, best = max(values) or 1, (min if less else max)(values)
        parts.append(_text(0, y + 14, title, "font-weight='600'"))
        y += HEAD - 8
        for name, (value, written) in rows.items():
            long = (WIDTH - NAME - 90) * value / most
            parts.append(_text(0, y + 15, name))
            parts.append(
                f"<rect x='{NAME}' y='{y + 3}' width='{long:.1f}' height='{LINE - 6}' rx='2' fill='{FILL[value != best]}'/>"
            )
            parts.append(_text(NAME + long + 6, y + 15, written))
            y += LINE
        y += 12
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {y}' width='{WIDTH}' height='{y}'"
        " font-family='sans-serif' font-size='12'><rect width='100%' height='100%' fill='white'/>"
        + "".join(parts)
        + "</svg>\n"
    )


def _text(x: float, y: float, said: str, how: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y}' {how}>{escape(said)}</text>"
