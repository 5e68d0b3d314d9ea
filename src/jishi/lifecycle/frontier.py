"""Which way to compress: several are tried, each held to the answers of the bundle given, and measured beside the others.

What has the best score of those that keep to a goal is written.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jishi.core import bundle, registry, spec
from jishi.core.contracts import Compressor
from jishi.core.errors import BundleError, JishiError
from jishi.lifecycle import benchmark, compress
from jishi.lifecycle.compress import Begun, CompressSpec
from jishi.lifecycle.goal import MEASURED, Goal
from jishi.lifecycle.rounds import Listener

Chain = tuple[Compressor, ...]
FIGURES = ("p50", "p99", "memory", "bytes", "runtime")


def search(wanted: CompressSpec, goal: Goal, listen: Listener) -> dict[str, Any]:
    """As `compress`, with "method" that was chosen, "tried": figures of each, the bundle given first, and "refused": why others
    are not among them. Raises BundleError where none holds, or none keeps to the goal; nothing is written then."""
    with compress.begun(wanted, listen) as start:
        made: dict[str, dict[str, Any]] = {}
        refused: list[dict[str, str]] = []
        known: dict[Chain, Any] = {(): (start.first, [], start.answers)}
        for chain in chains(wanted.method or _searched()):
            name = _name(chain)
            try:
                here, hops, _ = _reached(wanted, start, chain, known)
            except JishiError as error:
                refused.append({"method": name, "reason": str(error)})
                continue
            made[name] = {"path": here.path, "hops": hops}
            del known[chain], here  # its weights need be held no longer
        if not made:
            raise BundleError(
                "compress.none-holds", reasons=" ".join(f"{one['method']}: {one['reason']}" for one in refused)
            )
        tried = _measured(wanted, goal, made)
        best = _best(goal, tried[1:])
        with bundle.publishing(Path(wanted.out)) as folder:
            shutil.copytree(made[best["method"]]["path"], folder, dirs_exist_ok=True)
            bundle.read(folder)
    sizes = {compress.BEFORE: tried[0]["bytes"], "after": best["bytes"]}
    hops = made[best["method"]]["hops"]
    return {
        "out": wanted.out, "runtime": best["runtime"], "bytes": sizes, "part": start.rows.part, "hops": hops,
        "method": best["method"], "metric": hops[-1]["metric"], "tried": tried, "refused": refused,
    }  # fmt: skip


def chains(ways: Sequence[Compressor]) -> list[Chain]:
    """Each way alone; one that fits itself to rows with each that loses something after it, and alone where there is none."""
    after = [way for way in ways if not way.learns and not way.lossless]
    found: list[Chain] = [(way,) for way in ways if not way.learns]
    for way in ways:
        if way.learns:
            found += [(way, last) for last in after] or [(way,)]
    return found


def front(tried: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether no other is as quick, as small and as good, and better in one of them."""
    points = [(one["p50"], one["bytes"], -one["score"]) for one in tried]
    return [
        not any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points)
        for point in points
    ]


def _searched() -> list[Compressor]:
    kinds = [registry.get(Compressor, name) for name in registry.names(Compressor)]
    return [kind() for kind in kinds if kind.searched]


def _name(chain: Chain) -> str:
    """Its ways, with the options that are not as they would be."""
    return "+".join(_told(way) for way in chain)


def _told(way: Compressor) -> str:
    usual = spec.dump(type(way)())
    changed = [f"{key}={value}" for key, value in spec.dump(way).items() if value != usual[key]]
    return registry.name_of(way) + (f"({', '.join(changed)})" if changed else "")


def _reached(wanted: CompressSpec, start: Begun, chain: Chain, known: dict[Chain, Any]) -> Any:
    """The predictor, the hops and the answers at the end of a chain; what several begin with is made, or refused, once."""
    if chain not in known:
        try:
            here, hops, last = _reached(wanted, start, chain[:-1], known)
            target = start.folder / "tried" / str(len(known)) / _name(chain)
            made, hop, found = compress.hop(wanted, start, chain[-1], here, last, target)
            known[chain] = made, [*hops, hop], found
        except JishiError as error:
            known[chain] = error
    if isinstance(known[chain], JishiError):
        raise known[chain]
    return known[chain]


def _measured(wanted: CompressSpec, goal: Goal, made: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The bundle given, then what came of each chain."""
    paths = [Path(wanted.bundle), *(one["path"] for one in made.values())]
    told = benchmark.benchmark(paths, rounds=goal.rounds)["bundles"]
    ends = [one["hops"][-1] for one in made.values()]
    scores = [ends[0][compress.BEFORE], *(end["after"] for end in ends)]
    tried = [
        {"method": name, "score": score, **{figure: one[figure] for figure in FIGURES}, "meets": goal.excess(one) <= 1}
        for name, score, one in zip(("", *made), scores, told, strict=True)
    ]
    return [{**one, "front": on} for one, on in zip(tried, front(tried), strict=True)]


def _best(goal: Goal, tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The best score of those that keep to the goal, of equal ones the quickest. Raises BundleError where none does."""
    able = [one for one in tried if one["meets"]]
    if able:
        return max(able, key=lambda one: (one["score"], -one["p50"]))
    nearest = min(tried, key=goal.excess)
    raise BundleError(
        "compress.none-meets", method=nearest["method"], score=f"{nearest['score']:.4g}",
        goal=", ".join(f"{name}={value:g}" for name, value in goal.named().items()),
        given=", ".join(f"{name}={nearest[MEASURED[name][0]] / MEASURED[name][1]:.4g}" for name in goal.named()),
    )  # fmt: skip
