"""Draws how push, pull, list, purge and cleanup grow: log-log, as SVG. The environment's Python starts this.

Arguments: the file to write. It reads what growth.py printed from standard input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {"push": "#0072B2", "pull": "#D55E00", "list": "#009E73", "cleanup": "#CC79A7", "purge": "#E69F00"}


def draw(measured: dict[str, Any], file: Path) -> None:
    """Write the picture."""
    # The viewer's own font, no random names, no date: the same numbers give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.family": "sans-serif"})
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    panel(left, measured["sizes"], "bytes", "Bytes of the value", "Push and pull of one value")
    panel(right, measured["numbers"], "objects", "Objects of one run", "List, purge and cleanup of one run")
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def panel(axes: Any, rows: list[dict[str, Any]], unit: str, label: str, title: str) -> None:
    """Draw one line for each action, and a thin one that grows as its last point does: linear."""
    x = [row[unit] for row in rows]
    for name in (name for name in rows[0] if name != unit and (unit == "objects" or name != "purge")):
        seconds = [row[name]["cpu"] for row in rows]
        dashed = "--" if name in ("purge at once", "cleanup, dry run") else "-"
        colour = COLOURS[name.replace(",", "").split()[0]]
        axes.plot(x, seconds, dashed, marker="o", markersize=4, color=colour, label=name)
    slowest = max(row[name]["cpu"] for row in rows[-1:] for name in row if name != unit)
    axes.plot(x, [slowest * value / x[-1] for value in x], ":", color="#888888", linewidth=1, label="linear")
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="Seconds of CPU time", title=title)
    axes.grid(visible=True, which="major", color="#dddddd")
    axes.legend(frameon=False, fontsize="small")


if __name__ == "__main__":
    draw(json.load(sys.stdin), Path(sys.argv[1]))
