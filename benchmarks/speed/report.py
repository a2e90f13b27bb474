# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of rasterizer.py."""

from typing import Any


def as_markdown(results: dict[str, Any]) -> str:
    """All tables, with the ratios that are to be kept low."""
    return "\n".join(
        [
            "# The rasterizer and the training iteration on a processor",
            "",
            "    python benchmarks/rasterizer.py",
            "",
            f"{_machine(results['machine'])}. Load {results['load']} before the start; medians of {results['rounds']}",
            "rounds in which all variants of a table take turns. 400 x 300 px, spherical harmonics of degree 3, colour",
            "and depth.",
            "",
            *_passes(results["passes"]),
            *_kernels(results["kernels"], results["compiler"]),
            *_iterations(results["iterations"]),
            *(_slow(results["slow"]["ms"]) if results["slow"] else []),
        ]
    )


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
    return f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; {versions}"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _label(entry: dict[str, Any]) -> str:
    return f"{entry['gaussians']:,} {entry['sizes']}"


def _passes(entries: list[dict[str, Any]]) -> list[str]:
    rows = []
    for entry in entries:
        ms = entry["ms"]
        rows.append(
            [
                _label(entry),
                f"{ms['plain, forward, 1']:.1f}",
                *(f"{ms[f'{kind}, {n}']:.1f}" for kind in ("plain", "dilated", "pupil") for n in (1, 2)),
                f"{ms['plain, 1'] / ms['plain, 2']:.2f}",
                f"{ms['dilated, 1'] / ms['plain, 1']:.2f}",
                f"{ms['pupil, 1'] / ms['dilated, 1'] / 6:.2f}",
            ]
        )
    header = ["Gaussians", "forward", "plain", "2 threads", "dilated", "2 threads", "pupil of 6", "2 threads"]
    return [
        "## Passes: forward and backward, ms",
        "",
        *_table([*header, "threads' gain", "dilated / plain", "pupil / 6 dilated"], rows),
    ]


def _kernels(entries: list[dict[str, Any]], compiler: str) -> list[str]:
    rows = []
    for entry in entries:
        ms = entry["ms"]
        ours = ms["forward"] + ms["backward"]
        row = [_label(entry), f"{entry['vectors'] / 1e6:.2f}", f"{ms['forward']:.2f}", f"{ms['backward']:.2f}"]
        row.append(f"{1e6 * ours / entry['vectors']:.1f}")
        if "forward in C++" in ms:
            theirs = ms["forward in C++"] + ms["backward in C++"]
            row += [f"{ms['forward in C++']:.2f}", f"{ms['backward in C++']:.2f}", f"{ours / theirs:.2f}"]
        else:
            row += ["-", "-", "-"]
        rows.append(row)
    header = ["Gaussians", "million vectors", "forward", "backward", "ns a vector", "in C++", "backward in C++"]
    return [
        "## Compositing alone, one thread, ms",
        "",
        f"The same algorithm in C++ (benchmarks/speed/composite.cpp) by {compiler}. A vector is eight pixels of one",
        "Gaussian, forward and backward.",
        "",
        *_table([*header, "this / C++"], rows),
    ]


def _iterations(entries: list[dict[str, Any]]) -> list[str]:
    rows = []
    for entry in entries:
        ms = entry["ms"]
        for defocus in ("none", "dilation"):
            row = [_label(entry), defocus]
            for n in (1, 2):
                whole, passes = ms[f"{defocus}, iteration, {n}"], ms[f"{defocus}, passes, {n}"]
                row += [f"{whole:.1f}", f"{passes:.1f}", f"{whole - passes:.1f}", f"{whole / passes:.2f}"]
            rows.append(row)
    header = ["Gaussians", "defocus"]
    for threads in ("1 thread", "2 threads"):
        header += [threads, "passes", "the rest", "iteration / passes"]
    return [
        "## A training iteration, ms",
        "",
        "Passes are the rasterizer's forward and backward alone on the same Gaussians; the rest is what the iteration",
        "has beside them: loss, regularization, optimizers, random walk.",
        "",
        *_table(header, rows),
    ]


def _slow(ms: dict[str, float]) -> list[str]:
    times = [f"{ms[f'large, plain torch, {n}'] / ms[f'large, {n}']:.0f}" for n in (1, 2)]
    compositing = ms["compositing, plain torch"] / ms["compositing"]
    reference = ms["small, reference"] / ms["small, 1"]
    rows = [
        ["30,000 trained Gaussians, plain PyTorch", *(f"{ms[f'large, plain torch, {n}']:,.0f}" for n in (1, 2))],
        ["the same, this", *(f"{ms[f'large, {n}']:.1f}" for n in (1, 2))],
        ["compositing alone, plain PyTorch", f"{ms['compositing, plain torch']:,.0f}", "-"],
        ["the same, this", f"{ms['compositing']:.1f}", "-"],
        ["1,000 Gaussians at 80 x 60, reference", f"{ms['small, reference']:,.0f}", "-"],
        ["the same, this", f"{ms['small, 1']:.1f}", "-"],
    ]
    return [
        "## Without kernels: forward and backward, ms",
        "",
        "Plain PyTorch (benchmarks/speed/tiled_torch.py) goes tile by tile through dense matrices of pixels times the",
        "Gaussians whose bounding box touches the tile, with autograd and PyTorch's own threads. The reference has",
        "every Gaussian at every pixel.",
        "",
        *_table(["", "1 thread", "2 threads"], rows),
        f"Plain PyTorch takes {times[0]} times as long on one thread, {times[1]} on two; {compositing:.0f} times for",
        f"compositing alone; the reference {reference:.0f} times.",
        "",
    ]
