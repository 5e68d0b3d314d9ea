"""The data report in words: what a person reads after `prepare`, in the language in force."""

from collections.abc import Iterator, Mapping
from typing import Any

from jishi.core.i18n import text

LABELS = 8  # shown by name; beyond, only the most and the least frequent
REFUSED = 5  # refused rows shown

Line = tuple[str, str]


def lines(report: Mapping[str, Any]) -> list[Line]:
    """Pairs of a heading and what it says; what there is nothing to say of is left out."""
    return [*_sizes(report), *_lengths(report), *_faults(report)]


def _sizes(report: Mapping[str, Any]) -> Iterator[Line]:
    yield text("data.rows"), _by_part(report["rows"])
    ledger = report["ledger"]
    counts = {name: sum(ledger[name].values()) for name in ("accepted", "refused", "cut")}
    yield text("data.ledger"), text("data.ledger-counts", read=ledger["read"], **counts)
    for name, counts in report["optional"].items():
        yield text("data.optional", name=name), _by_part(counts)
    labels = report["labels"].get("train")
    if labels and len(labels) <= LABELS:
        yield text("data.labels"), ", ".join(f"{label} {count:,}" for label, count in labels.items())
    elif labels:
        (most, many), *_, (least, few) = labels.items()
        yield (
            text("data.labels"),
            text("data.labels-range", count=len(labels), most=most, many=many, least=least, few=few),
        )


def _lengths(report: Mapping[str, Any]) -> Iterator[Line]:
    if "train" in report["characters"]:
        yield text("data.characters"), text("data.lengths", **report["characters"]["train"])
    if tokens := report["tokens"]:
        parts = tokens["parts"]
        yield text("data.tokens"), text("data.lengths", **parts["train"])
        beyond = "windows" if "windows" in parts["train"] else "truncated"
        heading = text(f"data.{beyond}", limit=tokens["max_length"])
        yield heading, _by_part({part: found[beyond] for part, found in parts.items()}, ".1%")
        yield text("data.unknown"), _by_part({part: found["unknown"] for part, found in parts.items()}, ".2%")


def _faults(report: Mapping[str, Any]) -> Iterator[Line]:
    duplicates, near = report["duplicates"], report["near_duplicates"]
    yield text("data.duplicates-within"), _by_part(duplicates["within"])
    if duplicates["across"]:
        yield text("data.duplicates-across"), _by_part(duplicates["across"])
    if near and near["across"]:
        compared = {part: rows for part, rows in near["compared"].items() if rows < report["rows"][part]}
        note = text("data.compared", parts=_by_part(compared)) if compared else ""
        yield text("data.near-duplicates"), _by_part(near["across"]) + note
    if report["conflicts"]["rows"]:
        yield text("data.conflicts"), f"{report['conflicts']['rows']:,}"
    if any(report["empty"].values()):
        yield text("data.empty"), _by_part(report["empty"])
    if any(report["copied"].values()):
        yield text("data.copied"), _by_part(report["copied"])
    if report["missing_in_train"]:
        yield text("data.missing-in-train"), ", ".join(report["missing_in_train"])
    for how, count in report["ledger"].get("mended", {}).items():
        yield text(f"data.mended-{how}"), f"{count:,}"
    for part, labels in report["missing_in_part"].items():
        more = f", … ({len(labels):,})" if len(labels) > LABELS else ""
        yield f"{text('data.missing-in-part')} ({text(f'data.{part}')})", ", ".join(labels[:LABELS]) + more
    for refused in report["ledger"]["samples"][:REFUSED]:
        yield refused["where"], refused["reason"]


def _by_part(values: Mapping[str, float], form: str = ",") -> str:
    """ "train 12,000 · test 1,500"; a pair of parts is written train/test."""
    names = {key: "/".join(text(f"data.{part}") for part in key.split("/")) for key in values}
    return " · ".join(f"{names[key]} {value:{form}}" for key, value in values.items())
