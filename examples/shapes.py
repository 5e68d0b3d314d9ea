"""Write pictures of coloured shapes, each with a sentence of what is on it, in English or Chinese: data for a dual encoder.

python examples/shapes.py runs/shapes          # 1,200 pictures, 64×64 pixels, and runs/shapes/pairs.jsonl
python examples/shapes.py runs/shapes 60       # the first 60
"""

import json
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "black": "黑色"}
SHAPES = {"circle": "圆形", "square": "方形", "triangle": "三角形"}
PLACES = {"left": "左", "right": "右"}


def main(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            rng = random.Random(number)
            pair = [(rng.choice(list(COLOURS)), rng.choice(list(SHAPES))) for _ in PLACES]
            name = f"{number:04}.png"
            drawn(pair, rng).save(folder / name)
            file.write(json.dumps({"image": name, "text": told(pair, rng)}, ensure_ascii=False) + "\n")
    print(f"{count} pictures in {folder}, their sentences in {folder / 'pairs.jsonl'}")


def drawn(pair: list[tuple[str, str]], rng: random.Random) -> Image.Image:
    """One shape on the left and one on the right, of any size, somewhat higher or lower."""
    picture = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(picture)
    for start, (colour, shape) in zip((0, 32), pair, strict=True):
        size, left, top = rng.randint(14, 24), start + rng.randint(2, 6), rng.randint(4, 36)
        box = (left, top, left + size, top + size)
        if shape == "circle":
            pen.ellipse(box, fill=colour)
        elif shape == "square":
            pen.rectangle(box, fill=colour)
        else:
            pen.polygon([(left, box[3]), (box[2], box[3]), (left + size / 2, top)], fill=colour)
    return picture


def told(pair: list[tuple[str, str]], rng: random.Random) -> str:
    if rng.random() < 0.5:
        parts = [f"a {colour} {shape} on the {place}" for place, (colour, shape) in zip(PLACES, pair, strict=True)]
        return " and ".join(parts)
    parts = [
        f"{place}边是{COLOURS[colour]}{SHAPES[shape]}"
        for place, (colour, shape) in zip(PLACES.values(), pair, strict=True)
    ]
    return "，".join(parts)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/shapes"), int(sys.argv[2]) if len(sys.argv) > 2 else 1200)
