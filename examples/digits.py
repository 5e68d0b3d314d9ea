"""Write scikit-learn's handwritten digits as an image folder: one sub-folder a digit, one PNG a picture.

python examples/digits.py runs/digits          # 1,797 pictures, 32×32 pixels
python examples/digits.py runs/digits 20       # the first 20 of each digit
"""

import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits


def main(folder: Path, each: int | None = None) -> None:
    digits = load_digits()
    written = dict.fromkeys(range(10), 0)
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        if each is not None and written[int(label)] >= each:
            continue
        written[int(label)] += 1
        picture = Image.fromarray((pixels * (255 / 16)).round().astype("uint8"))
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        picture.resize((32, 32), Image.Resampling.BICUBIC).save(folder / str(label) / f"{number:04}.png")
    print(f"{sum(written.values())} pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/digits"), int(sys.argv[2]) if len(sys.argv) > 2 else None)
