"""Write short sentences in Chinese with their English translations, made from a few words and three forms.

    python examples/phrases.py runs/phrases

No person of the test part does there what that person does in training: a model that has only learnt sentences by heart
translates none of them rightly.
"""

import itertools
import json
import random
import sys
from pathlib import Path

WHO = {
    "小王": "Xiao Wang", "李老师": "Teacher Li", "我妈妈": "my mother", "他的朋友": "his friend", "张医生": "Doctor Zhang",
    "我弟弟": "my brother", "她": "she", "我们": "we", "那个学生": "that student", "司机": "the driver",
}  # fmt: skip
DAY = {"昨天": "yesterday", "明天": "tomorrow"}
HOUR = {"早上": "morning", "下午": "afternoon", "晚上": "evening"}
PLACE = {
    "在公园": "in the park", "在家": "at home", "在学校": "at school", "在图书馆": "in the library",
    "在车站": "at the station", "在湖边": "by the lake",
}  # fmt: skip
ACT = {
    "跑步": ("run", "ran"), "喝茶": ("drink tea", "drank tea"), "看书": ("read a book", "read a book"),
    "等朋友": ("wait for a friend", "waited for a friend"), "唱歌": ("sing", "sang"), "吃面条": ("eat noodles", "ate noodles"),
    "画画": ("draw", "drew"), "打电话": ("make a call", "made a call"), "写信": ("write a letter", "wrote a letter"),
    "睡觉": ("sleep", "slept"),
}  # fmt: skip
ROWS = {"train": 1500, "dev": 100, "test": 200}


def sentence(who: str, day: str, hour: str, place: str, act: str, form: str) -> dict[str, str]:
    """One pair: a statement, what does not happen, or a question."""
    past, (base, did) = DAY[day] == "yesterday", ACT[act]
    when = f"{DAY[day]} {HOUR[hour]}"
    doer = WHO[who]
    if form == "asks":
        verb = f"Did {doer} {base}" if past else f"Will {doer} {base}"
        chinese = f"{day}{hour}{who}{place}{act}了吗？" if past else f"{day}{hour}{who}会{place}{act}吗？"
        return {"source": chinese, "target": f"{verb} {PLACE[place]} {when}?"}
    denied = form == "denies"
    if past:
        chinese = f"{day}{hour}{who}{'没有' if denied else ''}{place}{act}{'' if denied else '了'}。"
        verb = f"did not {base}" if denied else did
    else:
        chinese = f"{day}{hour}{who}{'不会' if denied else '会'}{place}{act}。"
        verb = f"will not {base}" if denied else f"will {base}"
    return {"source": chinese, "target": f"{doer[0].upper()}{doer[1:]} {verb} {PLACE[place]} {when}."}


def main(folder: Path) -> None:
    rng = random.Random(0)
    whole = list(itertools.product(WHO, DAY, HOUR, PLACE, ACT, ("says", "denies", "asks")))
    rng.shuffle(whole)
    people, acts = list(WHO), list(ACT)
    held_out = {(who, acts[(place + shift) % len(acts)]) for place, who in enumerate(people) for shift in (0, 4)}
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in ROWS.items():
        fitting = [words for words in whole if ((words[0], words[4]) in held_out) == (part == "test")]
        chosen = fitting[-count:] if part == "dev" else fitting[:count]
        lines = (json.dumps(sentence(*words), ensure_ascii=False) + "\n" for words in chosen)
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
