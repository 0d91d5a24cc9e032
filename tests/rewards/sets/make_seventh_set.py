r"""Writes the seventh set: golds of public data, changed as a policy under RL would change them.

``JUDGERLVR_TEST_DATA=FOLDER python tests/rewards/sets/make_seventh_set.py`` writes the same bytes each time. The golds
are those of MATH and of MATH-500. This grader first read the rows after the file had been committed.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
FRAMES = (
    "Let $k$ be the count we want.\n\nAdding both cases, $\\boxed{{{}}}$.",
    "<think>\nLet me try $n=1$ first.\n</think>\n\nHence\n\\[\n\\boxed{{{}}}\n\\]",
    "**Step 3.** Combine everything. Final result: \\(\\boxed{{{}}}\\)",
)
Form = tuple[str, str, str]  # kind, mode, template with G for the gold and H, K for numbers beside the gold
HOSTILE_NUMBER: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("21 left to the grader", "strict", (
        r"\sqrt{G^2}", r"\gcd(G,0)", r"\log_{2}2^{G}", r"\frac{G!}{(G-1)!}", r"\max\{1,G\}", r"\lim_{x\to G}x",
        r"\det(G)", r"\sum_{i=1}^{G}1", r"\int_{0}^{G}dt", r"\binom{G}{1}", r"\lfloor G.5\rfloor",
        r"|\{1,2,\ldots,G\}|", r"\deg x^{G}", r"\operatorname{Re}(G+2i)", r"e^{\ln G}", r"\text{the number after }H",
        r"G^{1}\cdot\cos 0", r"\max G", r"\sum G", r"f(x)\text{ where }f(x)=G")),
    ("22 marks on a number", "strict", (
        r"\bar{G}", r"\tilde{G}", r"\hat{G}", r"\vec{G}", r"G'", r"G^{*}", r"G^{+}", r"G_{+}", r"\cancel{G}", r"G?",
        r"G\ldots", r"\ldots G", r"\lnot G", r"\underbrace{G}_{\text{no}}", r"G+\epsilon", r"G+o(1)", r"O(G)",
        r"\sim G",
        r"G^{\dagger}", r"\boxtimes G", r"\sqrt{}G", r"G+C", r"G\,dx", r"Gi", r"G\hbar")),
    ("23 shotgun", "strict", (
        r"G\vee H", r"G\mid H", r"H\to G", r"\{H,G\}", r"G \text{ vs } H", r"[H,G]", r"G\ (\text{or }H)", r"G\,|\,H",
        r"H<G", r"G\text{ if }n\text{ even},\ H\text{ if odd}", r"\begin{cases}G\\H\end{cases}", r"H,\ldots,G",
        r"\min\{G,H\}", r"G\&H", r"H;G", r"H\ \text{to}\ G", r"G\text{ and/or }H", r"H\cup G", r"\in\{G,H\}",
        r"\text{A: }G\text{ B: }H", r"H\le x\le G", r"G\neq H", r"\overset{G}{H}", r"(G\ H)", r"G=H+2",
        r"H\Rightarrow G")),
    ("24 doubt in the box", "strict", (
        r"G\text{, I think}", r"\text{roughly }G", r"G\text{ or so}", r"\text{at least }G", r"G\text{ (not proven)}",
        r"\text{my guess: }G", r"\text{unless }x=0,\ G", r"G\text{ minus one}", r"\text{anything but }G",
        r"G\text{ rounded}", r"\text{under }G", r"G\text{ plus}", r"\text{No. }G", r"G\text{ out of }H",
        r"G\text{ (typo)}", r"\text{ignore }G", r"G\text{ is the upper limit}", r"\text{next to }G", r"\text{half }G",
        r"G\text{-ish}")),
    ("25 round the box", "whole", (
        r"So $\boxed{G}\text{ or maybe }H$.", r"So $\boxed{G}\cdot H$.", r"So $H^{\boxed{G}}$.", r"So $(\boxed{G},H)$.",
        r"So $H+\boxed{G}$ in total.", r"So $\boxed{G}\le x$.", r"So $f(\boxed{G})$ is needed.",
        r"$\boxed{G}$ isn't it.",
        r"The answer isn't $\boxed{G}$.", r"$\boxed{G}$ was wrong; I get $H$.", r"We need $\frac{\boxed{G}}{H}$.",
        r"Then \boxed{G} + H.", r"Hence $[\boxed{G},\infty)$.", r"$\boxed{G}$, no wait, \boxed{H}.",
        r"$|\boxed{G}-H|$ gives it.", r"$\boxed{G}$ dozen.", r"$\boxed{H}$ replaced $\boxed{G}$, final \boxed{K}.",
        r"It exceeds \boxed{G}? No: \boxed{H}", r"$\overline{\boxed{G}}$", r"$\boxed{G}:H$", r"$x_{\boxed{G}}=H$",
        r"\[\begin{pmatrix}\boxed{G}&H\end{pmatrix}\]", r"$\boxed{G}^\prime$", r"The value $-\,\boxed{G}$.")),
    ("26 prose", "lenient", (
        "One attempt gave G, since discarded.", "G is too small.", "It would be G were the number even.",
        "The key lists G; ours is H.", "We can rule G out.", "I get H. Others get G.", "The answer is H, not G.",
        "Between H and G.", "The answer is more than G.", "The answer is close to G.", "The answer divides G.",
        "The answer is a multiple of G.", "Answer: G or H", "Answer: see G", "The answer has G as a factor.",
        "It cannot be determined, though G is popular.", "Answer = H (G in the old edition)", "The answer is under G.",
        "Is it G?", "The answer is H + G.", "G was the previous total.", "The hint mentions G.",
        "The sum without tax is G.",
        "The answer lies near G.", "The answer is the square of G.", "**G** is a distractor.",
        "Option G does not exist.",
        "He guessed G.", "<answer>H</answer> and not G", "The final answer is between H and G")),
)  # fmt: skip
RIGHT_NUMBER: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("31 answers in prose", "lenient", (
        "The answer is G.", "Answer: **G**", "<answer>G</answer>", "So the final answer is $G$.", "答案是G。", "**G**",
        "Therefore, the total is G.", "### Answer\nG", "The correct answer is G", "Final Answer: \\(G\\)", "#### G",
        "So we get $x = G$.", "The result is $G$.", "La respuesta es G.", "Thus there are **G** in total.",
        "So she has G left.", "It equals $G$.", "The final answer is: $\\boxed{G}$.", "Answer: $G$.")),
    ("32 chains and names", "strict", (
        r"H+1=G", r"x=G", r"N=H+1=G", r"\text{Total}=G", r"P=G", r"G=G", r"f(2)=G", r"\text{Answer: }G",
        r"n=K-1=G", r"=G", r"a_{5}=G", r"\frac{2\cdot G}{2}=G", r"2\cdot H-H+1=G", r"|S|=G", r"S_{n}=G")),
    ("33 dress", "strict", (
        r"\,G\,", r"\mathbf{G}", r"\text{G}", r"\displaystyle G", r"\left(G\right)", r"{G}", r"G.", r"\textbf{G}",
        r"\color{blue}{G}", r"G.0", r"+G", r"\mathrm{G}", r"G\,.", r"$G$", r"\underline{G}", r"\large G", r"G\ ")),
    ("34 round the box", "whole", (
        r"So $x=\boxed{G}$.", r"$H+1=\boxed{G}$", r"$\boxed{G}$ is the answer.", r"$\therefore\boxed{G}$",
        r"\[\begin{aligned}x&=H+1\\&=\boxed{G}\end{aligned}\]", r"$n\Rightarrow\boxed{G}.$", r"\boxed{G}",
        r"$(\boxed{G})$",
        r"$\text{The total is }\boxed{G}$", r"It is not $H$ but $\boxed{G}$.", r"$\boxed{\boxed{G}}$",
        r"$\boxed{G} = H+1$", r"$\{\boxed{G}\}$", r"$f(2)=\color{red}{\boxed{G}}$", r"$\boxed{G}\quad\blacksquare$",
        r"$$\n\boxed{G}\n$$", r"$2^{3}\equiv\boxed{G}\pmod{1000003}$", r"**\boxed{G}**")),
)  # fmt: skip


def golds() -> list[str]:
    folder = Path(os.environ["JUDGERLVR_TEST_DATA"])
    train = [row["answer"] for row in json.loads((folder / "train" / "math-train-7474.json").read_text())]
    lines = (folder / "eval" / "math500.jsonl").read_text().splitlines()
    return [str(gold) for gold in [*train, *(json.loads(line)["answer"] for line in lines)] if gold]


def numbers(template: str, gold: str) -> str:
    beside = {"G": gold, "H": str(int(gold) - 1), "K": str(int(gold) + 1)}
    return re.sub(r"(?<![A-Za-z\\])[GHK](?![a-zA-Z])|(?<=\{)[GHK](?=\})", lambda found: beside[found[0]], template)


def from_numbers(table: object, whole: list[str], expected: int, rng: random.Random) -> Iterator[dict[str, object]]:
    for kind, mode, templates in table:  # type: ignore[attr-defined]
        for template in templates:
            gold = rng.choice(whole)
            answer = numbers(template.replace(r"Gi", r"{G}i"), gold)
            yield row(kind, mode, gold, answer, expected, rng)


def row(kind: str, mode: str, gold: str, answer: str, expected: int, rng: random.Random) -> dict[str, object]:
    completion = rng.choice(FRAMES).format(answer) if mode == "strict" else answer
    shown = "lenient" if mode == "lenient" else "strict"
    return {"kind": kind, "mode": shown, "gold": gold, "completion": completion, "expected": expected, "problem": ""}


def _once(pattern: str, put: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    return lambda gold: re.sub(pattern, put, gold, count=1)


_INCREASED: Callable[[re.Match[str]], str] = lambda found: str(int(found[0]) + 1)  # noqa: E731
# Which golds a change takes, and the change. Each gives a different answer.
CHANGES: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("41 sign", r"[a-z0-9}] ?\+ ?[0-9a-z\\]", _once(r"(?<=[a-z0-9}]) ?\+", " -")),
    ("42 coefficient", r"^[0-9]*[a-z]\^[0-9].*[+-]", _once(r"(?<![\^\d])\d+(?!\d*\})|(?<=\^)\d", _INCREASED)),
    (
        "43 fraction",
        r"^\\frac\{\d+\}\{\d+\}$",
        lambda gold: re.sub(r"frac\{(\d+)\}\{(\d+)\}", r"frac{\1}{\g<2>0}", gold),
    ),
    ("44 root", r"\\sqrt\{\d+\}", _once(r"(?<=sqrt\{)\d+", _INCREASED)),
    ("45 interval", r"^[\[(][^,]+,[^,]+\]$", lambda gold: gold[:-1] + ")"),
    (
        "46 tuple",
        r"^\((-?\d+), ?(-?\d+)\)$",
        lambda gold: re.sub(r"\((-?\d+),( ?)(-?\d+)\)", r"(\3,\g<2>\g<1>1)", gold),
    ),
    ("47 member lost", r"^-?\d+,(?!\d{3}) ?-?\d+", lambda gold: gold.rsplit(",", 1)[0]),
    ("48 member more", r"^-?\d+,(?!\d{3}) ?-?\d+", lambda gold: gold + ", 997"),
    ("49 letters", r"^\\text\{[A-Za-z]{4,}\}$", lambda gold: gold[:6] + gold[7] + gold[6] + gold[8:]),
    ("50 denial", r"^\\text\{[A-Za-z]{3,}\}$", lambda gold: gold.replace(r"\text{", r"\text{not ")),
    ("51 infinity", r"\\infty", lambda gold: gold.replace(r"\infty", "1000")),
    ("52 matrix", r"^\\begin\{pmatrix\}", _once(r"\d+", _INCREASED)),
    ("53 pi lost", r"\d\\pi", lambda gold: gold.replace(r"\pi", "")),
    ("54 base", r"^\d+_\{?\d+\}?$", lambda gold: gold.split("_")[0] + "1_" + gold.split("_")[1]),
)
KEPT: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("61 fraction", r"\\frac", lambda gold: gold.replace(r"\frac", r"\dfrac")),
    ("62 spaces", r"[+,-]", lambda gold: gold.replace(",", r",\ ").replace("+", " + ")),
    ("63 brackets", r"^\(", lambda gold: gold.replace("(", r"\left(").replace(")", r"\right)")),
    ("64 members", r"^-?\d+,(?!\d{3}) ?-?\d+$", lambda gold: ", ".join(reversed(gold.split(",")))),
    ("65 words", r"^\\text\{[A-Za-z ]{3,}\}$", lambda gold: gold.replace(r"\text", r"\mathrm").casefold()),
    ("66 words bare", r"^\\text\{[A-Za-z]{4,}\}$", lambda gold: r"\textbf{" + gold[6:].casefold()),
    ("67 name", r"^\\frac|^\\sqrt|^-?\d+$", lambda gold: "x = " + gold),
    ("68 matrix", r"^\\begin\{pmatrix\}", lambda gold: gold.replace("pmatrix", "bmatrix")),
    ("69 member names", r"^-?\d+,(?!\d{3}) ?-?\d+$",
     lambda gold: " \\text{ or } ".join(f"x={part}" for part in gold.split(","))),
    ("70 thousands", r"^\d{4,6}$", lambda gold: f"{int(gold):,}".replace(",", "{,}")),
    ("71 choice", r"^\\text\{\(?[A-F]\)?\}$|^[A-F]$",
     lambda gold: rf"\textbf{{({re.search('[A-F]', re.sub('text', '', gold))[0]})}}"),  # type: ignore[index]
    ("72 twice", r"^\\frac\{\d+\}\{\d+\}$",
     lambda gold: gold.replace(r"\frac{", r"\frac{2\cdot ").replace("}{", "}{2\\cdot ")),
    ("73 product", r"^\d+\\sqrt\{\d+\}$|^\d+\\pi$",
     lambda gold: gold.replace("\\", r"\cdot\\", 1).replace("\\\\", "\\")),
    ("74 unit", r"^\d+ ?(?:\\,|\\ )?\\text\{ ?[a-z]{3,}\}$", lambda gold: re.sub(r"(?:\\,|\\ )?\\text.*", "", gold)),
    ("75 chain", r"^\\frac\{\d+\}\{\d+\}$",
     lambda gold: gold.replace(r"\frac{", r"\frac{3\cdot ").replace("}{", "}{3\\cdot ") + "=" + gold),
)  # fmt: skip


def from_golds(table: object, everything: list[str], each: int, expected: int, rng: random.Random) -> Iterator[dict]:
    for kind, takes, change in table:  # type: ignore[attr-defined]
        fitting = sorted(
            {gold for gold in everything if re.search(takes, gold) and change(gold) != gold and len(gold) < 80}
        )
        for gold in rng.sample(fitting, min(each, len(fitting))):
            yield row(kind, "strict", gold, change(gold), expected, rng)


def written() -> Iterator[str]:
    rng = random.Random(167)
    everything = golds()
    whole = sorted({gold for gold in everything if re.fullmatch(r"[1-9]\d{1,3}", gold)}, key=int)
    made = [
        *from_numbers(HOSTILE_NUMBER, whole, 0, rng),
        *from_golds(CHANGES, everything, 14, 0, rng),
        *from_numbers(RIGHT_NUMBER * 2, whole, 1, rng),
        *from_golds(KEPT, everything, 14, 1, rng),
    ]
    yield from (json.dumps(one, ensure_ascii=False) + "\n" for one in made)


if __name__ == "__main__":
    (FOLDER / "seventh.jsonl").write_text("".join(written()), encoding="utf-8")
