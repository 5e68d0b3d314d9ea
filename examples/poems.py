"""Write examples/data/poems: short Chinese poems in four forms, put together from words of ours; no poet's line is among them.

    python examples/poems.py

A verse is a subject of the season and what it does, in verses of seven characters behind where; every second verse ends in the
poem's rhyme. No title of the test part occurs in the other parts.
"""

import itertools
import json
import random
from pathlib import Path

HERE = Path(__file__).parent
ROWS = {"train": 240, "dev": 24, "test": 48}
FORMS = {"五言绝句": (5, 2), "七言绝句": (7, 2), "五言律诗": (5, 4), "七言律诗": (7, 4)}  # characters a verse, couplets
SEASONS = {
    "春": ("柳色", "燕语", "桃枝", "新雨", "草色", "莺声", "杏影", "暖风"),
    "夏": ("荷气", "蝉声", "竹影", "凉云", "萤火", "槐阴", "蛙鼓", "急雨"),
    "秋": ("桂子", "雁字", "菊影", "霜叶", "虫声", "月色", "芦花", "薄雾"),
    "冬": ("雪意", "梅影", "寒鸦", "炉火", "冰溪", "松声", "冻云", "夜霰"),
}
HOURS = ("日", "夜", "晓", "晚")
PLACES = ("江亭", "山寺", "溪村", "湖上", "驿楼", "渡口", "旧园", "石桥", "城南", "茶舍", "竹径", "海边")
WHERE = ("今朝", "隔岸", "门外", "谁家", "十里", "一路", "檐前", "桥下", "篱边", "灯后", "几处", "岭上")
DOES = (
    "过小桥",
    "落旧溪",
    "绕竹篱",
    "近客窗",
    "度石阶",
    "满古堤",
    "入画图",
    "隐树梢",
    "隔水闻",
    "上酒旗",
    "拂钓丝",
    "静处看",
)
RHYMES = (
    ("送晚凉", "满袖香", "照短墙", "过池塘", "入草堂", "带微霜", "夜正长", "散斜阳"),
    ("水自流", "上小舟", "到沙洲", "又一秋", "近渔楼", "绕汀洲", "静如鸥", "识旧游"),
    ("散晚烟", "又一年", "照客船", "入远天", "满石田", "落琴边", "伴醉眠", "过亭前"),
    ("入梦轻", "一夜生", "与谁听", "到三更", "近古城", "淡复明", "绕空庭", "伴孤灯"),
)


def poem(season: str, form: str, rng: random.Random) -> str:
    """A poem in which no subject and no rhyme comes twice."""
    length, couplets = FORMS[form]
    subjects = rng.sample(SEASONS[season], 2 * couplets)
    does, rhymes = rng.sample(DOES, couplets), rng.sample(rng.choice(RHYMES), couplets)
    where = rng.sample(WHERE, 2 * couplets) if length == 7 else [""] * 2 * couplets
    ends = [end for pair in zip(does, rhymes, strict=True) for end in pair]
    verses = [place + subject + end for place, subject, end in zip(where, subjects, ends, strict=True)]
    return "\n".join(f"{verses[at]}，{verses[at + 1]}。" for at in range(0, len(verses), 2))


def main() -> None:
    rng = random.Random(0)
    titles = list(itertools.product(SEASONS, HOURS, PLACES))
    rng.shuffle(titles)
    start = 0
    folder = HERE / "data" / "poems"
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in ROWS.items():
        asked = list(itertools.product(titles[start : start + count // 2], FORMS))
        start += count // 2
        rows = [
            {"prompt": f"{form}：{''.join(title)}", "answer": poem(title[0], form, rng)}
            for title, form in rng.sample(asked, count)
        ]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
