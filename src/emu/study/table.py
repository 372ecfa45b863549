"""A study's results as a plain-text table for the terminal; every rate in percent of draws, with its 95 % interval."""

from typing import Any

from emu.aligned import aligned

HEAD = ("", "seeds", "best step", "appeal win", "95 %", "mean score", "faithful +/-", "95 %", "contrast", "saturation")
AGAINST = ("win", "tie", "lose", "95 %")


def table(told: dict[str, Any]) -> str:
    """A row an arm: its best pictures against its own step 0; then, where there is a reference, against that arm."""
    rows = [list(HEAD), *(_row(arm, figures) for arm, figures in told["arms"].items())]
    parts = [f"{told['question']} ({told['base']})", "\n".join(aligned(rows))]
    if "before" in told:
        against = "\n".join(aligned(_against(told)))
        parts.append(f"appeal against {told['reference']}, same prompts and seeds\n{against}")
    return "\n\n".join(parts)


def _against(told: dict[str, Any]) -> list[list[str]]:
    """A row an arm: best against best, then at the last step of both."""
    rows = [["", "its best: win", *AGAINST[1:], "last step: win", *AGAINST[1:]]]
    compared = {"(before tuning)": told["before"]} | {
        arm: figures for arm, figures in told["arms"].items() if "against" in figures
    }
    for arm, figures in compared.items():
        cells = [_rates(figures[name].get("appeal")) for name in ("against", "against_last")]
        rows.append([arm, *cells[0], *cells[1]])
    return rows


def _row(arm: str, figures: dict[str, Any]) -> list[str]:
    steps = sorted(figures["best_steps"])
    steps_told = str(steps[0]) if steps[0] == steps[-1] else f"{steps[0]}-{steps[-1]}"
    cells = [arm, str(len(figures["seeds"])), steps_told]
    appeal, score, net = (figures.get(name) for name in ("appeal", "score", "faithfulness_net"))
    cells += [f"{appeal['win']:.1f}", interval(appeal["ci95"])] if appeal else ["-", "-"]
    cells += [f"{score['before']:.2f} -> {score['after']:.2f}"] if score else ["-"]
    cells += [f"{net['net']:+.1f}", interval(net["ci95"])] if net else ["-", "-"]
    return cells + [f"{figures['drift'][name]['difference']:+.3f}" for name in ("contrast", "saturation")]


def _rates(rates: dict[str, Any] | None) -> list[str]:
    if rates is None:
        return ["-"] * len(AGAINST)
    return [*(f"{rates[word]:.1f}" for word in ("win", "tie", "lose")), interval(rates["ci95"])]


def interval(ci95: tuple[float, float] | list[float]) -> str:
    """`[92.1, 99.0]`"""
    return f"[{ci95[0]:.1f}, {ci95[1]:.1f}]"
