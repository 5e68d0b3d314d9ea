"""Write examples/data/choices: which department a customer's question is for. Made up here, no data set's rows.

    python examples/choices.py

The questions of each part are worded as those of no other part are.
"""

import json
import random
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "choices"
PARTS = {"train": slice(0, 4), "dev": slice(4, 5), "test": slice(5, 6)}  # of the wordings below
THINGS = {"zh": ["耳机", "台灯", "水壶", "背包"], "en": ["headphones", "lamp", "kettle", "backpack"]}
DEPARTMENTS = {
    "zh": {
        "退款": [
            "{}不想要了，怎么退钱？", "退回{}后多久到账？", "{}退货的钱还没收到", "想退{}，钱能全退吗？",
            "{}可以退款吗？", "我要退掉{}并拿回钱",
        ],
        "物流": [
            "我的{}到哪里了？", "{}什么时候能送到？", "{}已发货三天还没到", "能把{}改送到公司吗？",
            "{}的快递单号是多少？", "{}的包裹显示派送中，几时送到？",
        ],
        "维修": [
            "{}坏了，在哪里修？", "{}开不了机怎么修？", "{}在保修期内能免费修吗？", "修{}要多少钱？",
            "{}摔坏了可以修吗？", "{}用着用着坏了，找谁修？",
        ],
        "发票": [
            "买{}能开发票吗？", "{}的发票抬头写错了", "请把{}的电子发票发给我", "{}的发票什么时候开？",
            "{}可以补开发票吗？", "{}订单的发票在哪里下载？",
        ],
    },
    "en": {
        "refunds": [
            "I want my money back for the {}", "When is the {} refunded?", "No refund for the {} yet",
            "Can I return the {} for my money?", "How do I get a refund for the {}?",
            "Please refund the {} I returned",
        ],
        "delivery": [
            "Where is my {}?", "When does the {} arrive?", "The {} was shipped but not delivered",
            "Can you deliver the {} to my office?", "Which courier delivers the {}?",
            "My {} has not arrived, where is the parcel?",
        ],
        "repairs": [
            "The {} is broken, who repairs it?", "Can the {} be repaired?", "My {} does not start, can you fix it?",
            "What does repairing the {} cost?", "Is fixing the {} covered?", "Who can fix my broken {}?",
        ],
        "invoices": [
            "I need an invoice for the {}", "The invoice of the {} has a wrong name",
            "Please send the invoice for the {}", "When is the {} invoiced?", "Where can I download the {} invoice?",
            "Is there an invoice for my {}?",
        ],
    },
}  # fmt: skip


def rows(part: str) -> list[dict[str, object]]:
    """Two to four departments a question, the right one anywhere among them."""
    draw = random.Random(part)
    found = []
    for language, departments in DEPARTMENTS.items():
        for right, wordings in departments.items():
            for wording in wordings[PARTS[part]]:
                for thing in THINGS[language]:
                    others = draw.sample([name for name in departments if name != right], draw.randint(1, 3))
                    choices = draw.sample([right, *others], len(others) + 1)
                    answer = "ABCD"[choices.index(right)]
                    found.append({"question": wording.format(thing), "choices": choices, "answer": answer})
    draw.shuffle(found)
    return found


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(part)]
        (FOLDER / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
