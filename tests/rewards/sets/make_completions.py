# ruff: noqa: E501  (rows of a table)
r"""Writes ``completions.jsonl``: 600 hostile and 800 right completions, by kinds of fault.

``python tests/rewards/sets/make_completions.py`` writes the same bytes each time. The file was committed before
anything graded the rows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

FILE = Path(__file__).with_name("completions.jsonl")
HOSTILE, RIGHT = 600, 800
Pair = tuple[str, str]  # gold, answer
Maker = Callable[[random.Random], Pair]


def n(rng: random.Random, low: int = 2, high: int = 60) -> int:
    return rng.randint(low, high)


def pick(rng: random.Random, *options: str) -> str:
    return rng.choice(options)


def letters(rng: random.Random, count: int = 3) -> list[str]:
    return rng.sample("ABCDEFGHKLMNPQRST", count)


# Hostile: kind 1, a fragment of what cannot be parsed.
def cases(a: int, b: int, sign: str = ">") -> str:
    other = r"\le" if sign == ">" else r"\ge"
    return rf"\begin{{cases}} x+{a} & x{sign}{b} \\ {b} & x{other} {b} \end{{cases}}"


def fragment(rng: random.Random) -> Pair:
    a, b, c = n(rng), n(rng), n(rng)
    return rng.choice(
        [
            (cases(a, b), str(b)),
            (cases(a, b), cases(a + 1, b)),
            (cases(a, b), cases(a, b, "<")),
            (rf"n\equiv {a} \pmod{{{a + b}}}", str(a + b)),
            (rf"n\equiv {a} \pmod{{{a + b}}}", rf"n\equiv {a + 1} \pmod{{{a + b}}}"),
            (rf"x\equiv {a} \pmod{{{a + b}}}", rf"x\equiv {a} \pmod{{{a + b + 1}}}"),
            (rf"{a}\text{{ ft }}{b % 12}\text{{ in}}", str(a)),
            (rf"{a}\text{{ hours }}{b}\text{{ minutes}}", rf"{a}\text{{ hours }}{b + 1}\text{{ minutes}}"),
            (rf"{a}\mathbf{{i}}-{b}\mathbf{{j}}", str(a)),
            (rf"{a}\mathbf{{i}}+{b}\mathbf{{k}}", rf"{b}\mathbf{{i}}+{a + 70}\mathbf{{k}}"),
            (rf"f''(x)={a}x", rf"f'(x)={a}x"),
            ("g''(t)", "g'(t)"),
            (rf"{1900 + a}-0{1 + b % 9}-1{c % 9}", rf"{1900 + a}-1{c % 9}-0{1 + b % 9}"),
            (rf"{a} \bmod {a + b}", rf"{a + 1} \bmod {a + b}"),
            (f"0x{a}F", f"0x{a}D"),
            (rf"\frac{{dy}}{{dx}}={a}x^2", rf"\frac{{dy}}{{dx}}={a + 1}x^2"),
            (rf"\nabla f = ({a},{b})", rf"\nabla f = ({b},{a + 61})"),
            (rf"x>{a} \text{{ and }} y>{b}", rf"x>{a} \text{{ or }} y>{b}"),
        ]
    )


# Kind 2: words beside an expression.
def dropped_words(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    value = rng.choice(
        [rf"\sqrt{{{a * a + 1}}}", rf"{a}\pi", rf"\frac{{{a}\sqrt{{3}}}}{{2}}", rf"\ln {a}", rf"{a}+\sqrt{{2}}"]
    )
    first, second = rng.sample(["cm", "m", "km", "mm", "ft", "inches", "miles"], 2)
    words = pick(rng, "is incorrect", "or so they say", "is what I refuse", "halves", "not really", "if I am lucky", "squared",
                 "divided by 7", "or maybe zero", "times two", "more than that", "hundredths", "is false", "minus one")  # fmt: skip
    return rng.choice(
        [
            (rf"{value}\text{{ {first}}}", rf"{value}\text{{ {second}}}"),
            (rf"{value}\text{{ {first}}}^2", rf"{value}\text{{ {first}}}^3"),
            (value, rf"{value} \text{{ {words}}}"),
            (value, rf"{value} \text{{ or }} {value}+1"),
            (rf"{a % 12 + 1}:{10 + b % 50}\text{{ am}}", rf"{a % 12 + 1}:{10 + b % 50}\text{{ pm}}"),
            (value, rf"\text{{not }} {value}"),
        ]
    )


# Kind 4: false chains.
def false_chain(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    return rng.choice(
        [
            (str(a), rf"N=\binom{{{a % 9 + 4}}}{{2}}={a + 91}={a}"),
            (str(a), f"{a}+{b}={a}"),
            (str(a + b), rf"\sqrt{{{(a + b) ** 2 + 1}}}={a + b}"),
            (rf"\ln {a}", rf"x={b}=\ln {a}"),
            (rf"e^{{{a}}}", rf"x={a}=e^{{{a}}}"),
            (str(a * b), rf"{a}\cdot {b + 1}={a * b}"),
            (rf"\frac{{{a}}}{{{b + 161}}}", rf"1-\frac{{{a}}}{{{b + 161}}}=\frac{{{a}}}{{{b + 161}}}"),
            (str(a), f"{a}!={a}! = {a}"),
            (rf"\cos {a}", rf"y=\sin {a}=\cos {a}"),
            (str(2**8 + a), f"2^8={2**8 + a}"),
            (str(a), f"x+{b}={a}"),
            (str(a), f"2x={a}"),
        ]
    )


# Kind 5: lenient mode.
def lenient_hostile(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    return rng.choice(
        [
            (f"{a}x+{b}y={a * b}", f"The line is x+y={a * b}."),
            (str(a), f"The answer is not {a}."),
            (str(a), f"It cannot be {a}."),
            (str(a), f"The answer is {a} fifths."),
            (f"{a}x", f"The answer is {a}y."),
            (str(a), f"Either {a} or {a + b}."),
            (str(a), f"She has **{a + b}** apples, and he has {a}."),
            (str(a), f"The answer is {a} million."),
            (rf"\frac{{{a}}}{{{a + 1}}}", f"The answer is {a}."),
            ("C", "The answer is C or D."),
            ("C", "It is not C."),
            ("Paris", "The answer is not Paris."),
            (str(a), f"The answer is minus {a}."),
            (str(a), f"The answer is x = {a + b} = {a}."),
            (str(a), f"The answer is {a}, or perhaps {b + 61}."),
        ]
    )


# Kind 6: a word that is no unit.
def no_unit(rng: random.Random) -> Pair:
    a = n(rng)
    word = pick(rng, "thirds", "lakh", "incorrectly", "fold", "eighths", "crores", "tens", "kidding", "plus one", "squared", "quarters",
                "doubled", "negated", "reversed", "inverted", "nope", "over two", "halves", "dozens", "cubed", "factorial", "and counting",
                "more", "or less", "elevenths", "thousandths", "short of eight", "base nine", "percent off", "zeros", "minus some")  # fmt: skip
    small, large = rng.choice(
        [("mW", "MW"), ("mg", "Mg"), ("mV", "MV"), ("ms", "Ms"), ("mHz", "MHz"), ("Pa", "kPa"), ("g", "kg")]
    )
    return rng.choice(
        [
            (str(a), rf"{a} \text{{ {word}}}"),
            (str(a), rf"{a}\text{{ {word}}}"),
            (rf"{a}\text{{ {large}}}", rf"{a}\text{{ {small}}}"),
            (rf"{a}\text{{ {small}}}", rf"{a}\ \mathrm{{{large}}}"),
            (rf"{a}\text{{ miles}}", rf"{a}\text{{ kilometers}}"),
        ]
    )


# Kind 8: identity of letters and names.
def names(rng: random.Random) -> Pair:
    a, b = rng.sample(range(2, 40), 2)
    x, y, z = letters(rng)
    return rng.choice(
        [
            (x + y + z, y + x + z),
            (rf"\text{{{x}{y}{z}}}", rf"\text{{{z}{y}{x}}}"),
            (rf"\angle {x}{y}{z}", rf"\angle {y}{x}{z}"),
            (f"x={a},y={b}", f"({b},{a})"),
            (f"x={a},y={b}", f"x={b},y={a}"),
            (f"k={a},K={b}", f"k={b},K={a}"),
            (rf"\frac{{dy}}{{dx}}={a}x", rf"\frac{{dx}}{{dy}}={a}x"),
            (rf"\max = {a}", rf"\min = {a}"),
            (f"{x}={a}", f"{y}={a}"),
            (f"{a}x+{b}", f"{a}X+{b}"),
            (f"a_{{{a}}}", f"a_{{{b}}}"),
            (rf"\text{{{a}\% profit}}", rf"\text{{{a}\% loss}}"),
            (f"{a}v+{b}u", f"{b}v+{a}u"),
            (rf"\mathbf{{a}}+{a}\mathbf{{b}}", rf"\mathbf{{b}}+{a}\mathbf{{a}}"),
            (rf"\{{{a},{b}\}}", rf"\{{{a},\{{{b}\}}\}}"),
        ]
    )


# Kind 10: tiny differences.
def tiny(rng: random.Random) -> Pair:
    a = n(rng, 30, 99)
    return rng.choice(
        [
            (rf"1-\frac{{1}}{{2^{{{a}}}}}", rf"1-\frac{{1}}{{2^{{{a + 1}}}}}"),
            (rf"\sqrt{{10^{{{2 * (a % 20 + 12)}}}+1}}", rf"10^{{{a % 20 + 12}}}"),
            (rf"1+\frac{{1}}{{3^{{{a}}}}}", rf"1+\frac{{1}}{{3^{{{a + 2}}}}}"),
            (rf"\pi+\frac{{1}}{{10^{{{a}}}}}", r"\pi"),
            (rf"\frac{{1}}{{{a}!}}", rf"\frac{{1}}{{{a + 2}!}}"),
            (rf"\frac{{\sqrt{{2}}}}{{10^{{{a}}}}}", rf"\frac{{\sqrt{{2}}}}{{10^{{{a + 1}}}}}"),
            (rf"x+\frac{{1}}{{10^{{{a}}}}}", "x"),
            (rf"2^{{{a}}}-1", rf"2^{{{a}}}"),
            (rf"\sqrt{{{a}}}", str(round(a**0.5, 3)) + "1"),
            (rf"\frac{{{7 * a + 1}}}{{7}}", str(round(a + 1 / 7, 2))),
        ]
    )


# Work handed back, several offers, macro tricks: what must stay closed.
def handed_back(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    return rng.choice(
        [
            (str(a * a), f"{a}^2"),
            (str(a), rf"\sqrt{{{a * a}}}"),
            (str(a), rf"\int_0^{{{a}}} 1\,dx"),
            (str(a * (a + 1) // 2), rf"\sum_{{k=1}}^{{{a}}} k"),
            (str(a), f"{a}, {a + b}"),
            (str(a), rf"{a} \text{{ or }} {a + b}"),
            (str(a), rf"\max({a}, {a - 1})"),
            (str(a), f"{a}+x-x"),
            (rf"\pm {a}", str(a)),
            ("B", "(B) or (D)"),
            ("C", "A, B, C, D"),
            (f"({a},{b + 61})", f"({b + 61},{a})"),
            (f"[{a},{a + b}]", f"[{a},{a + b})"),
            (str(a), rf"\def\q{{{a}}}\q"),
            (f"{a}-{b}x", f"{a}, {b}x"),
            (r"\frac{\sqrt{3}}{2}", r"\sin 60^\circ"),
        ]
    )


# Kind 9 and 3, 4, 7 from the right side.
def polynomials(rng: random.Random) -> Pair:
    a, b = n(rng, 2, 9), n(rng, 2, 9)
    x, y, z = rng.sample("abcpqrstuvwxyz", 3)
    return rng.choice(
        [
            (f"{x}^2+{y}^2+{z}^2", f"{z}^2+{y}^2+{x}^2"),
            (f"({x}+{a})({x}^2+{b})", f"{x}^3+{a}{x}^2+{b}{x}+{a * b}"),
            (f"{x}^4-{y}^4", f"({x}-{y})({x}+{y})({x}^2+{y}^2)"),
            (f"{x}^3+{y}^3", f"({x}+{y})({x}^2-{x}{y}+{y}^2)"),
            (f"{a}{x}^2{y}^3{z}", f"{a}{z}{y}^3{x}^2"),
            (f"({x}{y}{z})^{a}", f"{x}^{a}{y}^{a}{z}^{a}"),
            (f"{x}^2+{y}^2={a * a}", f"{y}^2+{x}^2={a}^2"),
            (f"({x}^2-{x}+{a})^2", f"{x}^4-2{x}^3+{2 * a + 1}{x}^2-{2 * a}{x}+{a * a}"),
            (rf"\frac{{1}}{{{x}^2+1}}", f"1/({x}^2+1)"),
            (rf"\frac{{{x}+{a}}}{{{b}}}", rf"\frac{{1}}{{{b}}}({x}+{a})"),
            (f"2^{{{x}+{a}}}", rf"{2**a}\cdot 2^{x}"),
            (rf"{a}\sqrt{{{b * b * 2}}}", rf"{a * b}\sqrt2"),
        ]
    )


def true_chain(rng: random.Random) -> Pair:
    a, b = n(rng, 2, 30), n(rng, 2, 30)
    return rng.choice(
        [
            (str(a + b), f"{a}+{b}={a + b}"),
            (str(a * b), rf"{a}\cdot{b}={a * b}"),
            (str(2**a) if a < 20 else "1024", f"2^{{{a if a < 20 else 10}}}={2**a if a < 20 else 1024}"),
            (str(a), rf"\sqrt{{{a * a}}}={a}"),
            (str(a * (a - 1) // 2), rf"\binom{{{a}}}{{2}}={a * (a - 1) // 2}"),
            ("720", "6!=720"),
            (rf"\frac{{{a}}}{{{2 * a + 1}}}", rf"P(X={b})=\frac{{{a}}}{{{2 * a + 1}}}"),
            (rf"\frac{{{a}}}{{{2 * a + 1}}}", rf"1-\frac{{{a + 1}}}{{{2 * a + 1}}}=\frac{{{a}}}{{{2 * a + 1}}}"),
            (str(a), rf"\left|-{a}\right|={a}"),
            (rf"{a}\sqrt{{2}}", rf"x=\sqrt{{{2 * a * a}}}={a}\sqrt2"),
            (str(a), rf"\frac{{{a * b}}}{{{b}}}={a}"),
            (str(a), rf"f^{{-1}}({b})={a}"),
            (rf"\frac{{{a}}}{{{a + 1}}}", rf"\cos\theta=\frac{{{2 * a}}}{{{2 * a + 2}}}=\frac{{{a}}}{{{a + 1}}}"),
            (rf"\sqrt{{{a * a + 1}}}", rf"\sqrt{{{a * a + 1}}}\approx {(a * a + 1) ** 0.5:.2f}"),
            (str(a), f"f(g({b}))={a}"),
            (str(a), rf"\#\text{{pairs}}={a}"),
            ("3", r"\log_2 8=3"),
        ]
    )


def lenient_right(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    noun = pick(rng, "apples", "books", "coins", "marbles", "students")
    return rng.choice(
        [
            (str(a), f"So he has **{a}** {noun} left."),
            (str(a), f"Therefore, there are {a} {noun}."),
            ("C", "Answer: C"),
            ("D", "The correct option is (D)."),
            (str(a), f"答案是{a}。"),
            (str(a), f"<answer>{a}</answer>"),
            (str(a), f"It costs ${a} in total."),
            (rf"\sqrt{{{a}}}", f"The answer is √{a}."),
            ("Paris", "The answer is Paris."),
            ("yes", "The final answer is: yes"),
            (f"({a},{b})", f"The answer is ({a}, {b})."),
            (f"{a},{a + b}", f"The solutions are x = {a} and x = {a + b}."),
            (r"\frac{1}{2}", "The probability is ½."),
            (str(a), f"Final Answer: **{a}**"),
            (rf"{a}\%", f"The rate is {a}%."),
            (rf"\frac{{{a}}}{{{a + 1}}}", rf"The answer is $\frac{{{a}}}{{{a + 1}}}$."),
            (f"-{a}", f"The answer is \u2212{a}."),
            (str(a * 1000), f"The answer is {a},000."),
        ]
    )


def dialect(rng: random.Random) -> Pair:
    a, b = n(rng, 2, 20), n(rng, 2, 20)
    return rng.choice(
        [
            (f"{a}*x**2-{b}", f"{a}x^2-{b}"),
            (f"{a}*pi/{b + 20}", rf"\frac{{{a}\pi}}{{{b + 20}}}"),
            (f"sqrt({a * a + 1})", rf"\sqrt{{{a * a + 1}}}"),
            (f"ln({a})", rf"\ln {a}"),
            (f"exp(-{a}*x)", f"e^{{-{a}x}}"),
            (f"The answer is {a}", str(a)),
            (f"{a}*sin(x)+{b}", rf"{a}\sin x+{b}"),
            ("½", r"\frac{1}{2}"),
            (f"the answer is {a * 1000}", f"{a},000"),
            (f"{a}/{a + b}", rf"\dfrac{{{a}}}{{{a + b}}}"),
            (f"(x+{a})*(x-{b})", rf"(x-{b})(x+{a})"),
            (f"{a}x²+{b}", f"{a}x^2+{b}"),
        ]
    )


def choices(rng: random.Random) -> Pair:
    letter = pick(rng, *"ABCDE")
    text = pick(rng, "Paris", "the ellipse", "mitosis", "12", "a triangle", "copper", "x^2")
    plain = text.isalpha() or " " in text
    shown = rf"\text{{ {text}}}" if plain else f" {text}"
    return rng.choice(
        [
            (letter, rf"\text{{Option {letter}}}"),
            (letter, rf"\text{{Choice ({letter})}}"),
            (letter, rf"({letter}){shown}"),
            (letter, rf"\textbf{{({letter})}}{shown}"),
            (letter, rf"{letter}.{shown}"),
            (letter, rf"\text{{{letter}: {text}}}" if plain else f"{letter}) {text}"),
            (f"{letter}. {text}", letter),
            (f"{letter}. {text}", f"({letter})"),
            (f"({letter})", letter),
            (rf"\text{{{letter}}}", rf"\mathrm{{{letter}}}"),
            (rf"\text{{{text}}}" if plain else text, rf"\text{{({letter}) {text}}}" if plain else f"({letter}) {text}"),
        ]
    )


def units(rng: random.Random) -> Pair:
    a = n(rng)
    return rng.choice(
        [
            (str(a), rf"{a}\,\Omega"),
            (rf"{a}\text{{ m/s}}", rf"{a}\ \frac{{\text{{m}}}}{{\text{{s}}}}"),
            (str(a), rf"{a}\ \mathrm{{m\,s^{{-2}}}}"),
            (str(a), rf"{a}\,\mu\text{{m}}"),
            (rf"{a}\text{{ cm}}^2", rf"{a}\ \mathrm{{cm^2}}"),
            (str(a), rf"{a}\text{{ square meters}}"),
            (rf"{a}\text{{ square feet}}", rf"{a}\text{{ ft}}^2"),
            (str(a), rf"{a}\text{{ cubic inches}}"),
            (str(a), rf"{a}\ \text{{mph}}"),
            (str(a), rf"{a}\text{{ days}}"),
            (rf"{a}\pi\text{{ cm}}^2", rf"{a}\pi"),
            (str(a), rf"{a}\text{{ units}}"),
            (str(a), rf"\$ {a}"),
            (str(a), rf"\text{{\$}}{a}"),
            (str(a), rf"\text{{Rs. }}{a}"),
            (str(a), rf"{a}\text{{ dollars}}"),
            (str(a), rf"€{a}"),
            (rf"{a}^\circ", rf"{a}\degree"),
            (str(a), rf"{a}^{{\circ}}\text{{C}}"),
            (rf"{a}\text{{ hours }}15\text{{ minutes}}", rf"{a}\text{{ h }}15\text{{ min}}"),
        ]
    )


def spellings(rng: random.Random) -> Pair:
    a, b = n(rng, 2, 9), n(rng, 11, 30)
    return rng.choice(
        [
            (rf"\frac{{{a}}}{{{b}}}", rf"\nicefrac{{{a}}}{{{b}}}"),
            (rf"\frac{{{a}}}{{{b}}}", rf"\mathbf{{\frac{{{a}}}{{{b}}}}}"),
            (str(a), rf"\textcolor{{blue}}{{{a}}}"),
            (str(b), rf"{{\color{{red}}{b}}}"),
            (str(b), rf"\bf {b}"),
            (str(b), rf"\underline{{{b}}}"),
            (rf"\begin{{pmatrix}}{a}&{b}\\1&0\end{{pmatrix}}", rf"\begin{{bmatrix}}{a} & {b} \cr 1 & 0\end{{bmatrix}}"),
            (rf"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}", rf"\left(\begin{{array}}{{c}}{a}\\{b}\end{{array}}\right)"),
            (rf"\ln {b}", rf"\operatorname{{ln}}({b})"),
            (rf"\ln {b}", rf"\log_e {b}"),
            ("e^{3x}", r"\mathrm{e}^{3x}"),
            (rf"x^{a}+C", rf"x^{a}+c"),
            (rf"\binom{{n}}{{{a}}}", rf"C(n,{a})"),
            (rf"\sqrt[3]{{{b}}}", rf"\sqrt[3]{b if b < 10 else '{' + str(b) + '}'}"),
            (rf"{a}\mathbf{{i}}+{b}\mathbf{{j}}", rf"{a}\vec{{i}}+{b}\vec{{j}}"),
            (rf"\frac{{1}}{{{a + 1 if a in (3, 5, 6, 8) else 6}}}", rf"{1 / (a + 1 if a in (3, 5, 6, 8) else 6):.8f}"),
            (rf"\frac{{{a}}}{{9}}" if a < 9 else r"\frac19", rf"0.\overline{{{a if a < 9 else 1}}}"),
            (r"\frac{1}{6}", r"0.1\dot{6}"),
            (str(b * 1000), rf"{b}{{,}}000"),
            (
                rf"\frac{{-{a}\pm\sqrt{{{b}}}}}{{2}}",
                rf"\frac{{-{a}+\sqrt{{{b}}}}}{{2}}, \frac{{-{a}-\sqrt{{{b}}}}}{{2}}",
            ),
            (rf"\frac{{-{a}\pm\sqrt{{{b}}}}}{{2}}", rf"-\frac{{{a}}}{{2}}\pm\frac{{\sqrt{{{b}}}}}{{2}}"),
        ]
    )


def sets(rng: random.Random) -> Pair:
    a = n(rng, 2, 20)
    b = a + n(rng, 1, 20)
    return rng.choice(
        [
            (rf"(-\infty,{a}]", rf"x\le {a}"),
            (rf"(-\infty,{a}]", rf"\{{x \mid x\le {a}\}}"),
            (rf"(-\infty,{a}]\cup[{b},\infty)", rf"x\le {a}\text{{ or }}x\ge {b}"),
            (rf"(-\infty,{a})\cup({b},\infty)", rf"x>{b} \text{{ or }} x<{a}"),
            (f"[{a},{b})", f"[{a},{b}["),
            (f"({a},{b}]", f"]{a},{b}]"),
            (rf"\mathbb{{R}}\setminus\{{{a}\}}", rf"\mathbb{{R}}-\{{{a}\}}"),
            (rf"\mathbb{{R}}\setminus\{{{a}\}}", rf"x\neq {a}"),
            (f"[{a},{b}]", rf"{a}\le x\le {b}"),
            (f"({a},{b})", rf"{a}<x<{b}"),
            (rf"\{{{a},{b}\}}", rf"\{{{b}, {a}\}}"),
            (f"({a},-{b})", f"P({a},-{b})"),
            (f"(p,q)=({a},{b})", f"p={a},\\ q={b}"),
            (f"x={a},y={b}", f"(x,y)=({a},{b})"),
            (f"{a},{b}", rf"x={a}\text{{ or }}x={b}"),
            (rf"n\equiv {a} \pmod{{{b}}}", rf"n\equiv {a}\ (\text{{mod }} {b})"),
            (rf"\{{{a}\}}", str(a)),
            (rf"\pm {a}", rf"-{a}, {a}"),
            (r"\emptyset", r"\varnothing"),
        ]
    )


def bases_times_texts(rng: random.Random) -> Pair:
    a, b = n(rng, 1, 12), n(rng, 10, 59)
    first, second = rng.sample(["Alice", "Bob", "Carol", "Dan", "Eve"], 2)
    digits = f"{n(rng, 2, 31):b}"
    return rng.choice(
        [
            (f"{digits}_2", rf"{digits}\text{{ base }}2"),
            (f"{digits}_2", f"({digits})_2"),
            (f"{digits}_2", rf"{digits}_{{\text{{two}}}}"),
            (f"{digits}_{{2}}", digits),
            (f"{a}B{a}_{{16}}", f"{a}B{a}"),
            (f"{a}:{b}", f"{a}{{:}}{b}"),
            (rf"{a}:{b}\text{{ pm}}", rf"\text{{{a}:{b} p.m.}}"),
            (rf"{a}:{b}\text{{ am}}", rf"{a}:{b} \text{{ AM}}"),
            (f"{a}:{a + 1}", f"{a} : {a + 1}"),
            (r"\text{infinitely many}", r"\text{infinitely many solutions}"),
            (r"\text{no solution}", r"\text{no solutions}"),
            (f"{first}, {second}", rf"\text{{{second} and {first}}}"),
            (r"\text{Monday}", r"\text{on Monday}"),
            (r"\text{Even}", "even"),
            (rf"\text{{{first}}}", first.lower()),
            (r"\text{Yes}", r"\textbf{yes}"),
            (rf"{a}\text{{ R }}{b}", rf"{a}\text{{ remainder }}{b}"),
            (r"\text{hyperbola}", r"\text{a hyperbola}"),
        ]
    )


def boxed(rng: random.Random, answer: str) -> str:
    frame = rng.choice(
        ["<think>Some thought.</think>\n\nTherefore ${}$.", "So the answer is ${}$.", "{}", "$${}$$", "Hence {}."]
    )
    return frame.format(rf"\boxed{{{answer}}}")


OPEN_CLOSE = (
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)  # fmt: skip


def thinking_hostile(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    start, end = rng.choice(OPEN_CLOSE)
    return str(a), rng.choice(
        [
            rf"{start}So \boxed{{{a}}}",
            rf"{start}So \boxed{{{a}}}{end}It is as said above.",
            rf"{start}So \boxed{{{a}}}{end}\boxed{{{a + b}}}",
            rf"{start}no{end}\boxed{{{a}}}{start}or is it",
            rf"\boxed{{{a + b}}} or, alternatively, \boxed{{{a}}}",
            rf"\boxed{{{a}}} and perhaps \boxed{{{a + b}}}",
        ]
    )


def thinking_right(rng: random.Random) -> Pair:
    a, b = n(rng), n(rng)
    start, end = rng.choice(OPEN_CLOSE)
    return str(a), rng.choice(
        [
            rf"{start}Try \boxed{{{b}}}.{end}\boxed{{{a}}}",
            rf"Opened in the prompt.{end}The answer is \boxed{{{a}}}.",
            rf"{start}First{end}\boxed{{{b}}}{start}again{end}\boxed{{{a}}}",
            rf"{start}{end}\boxed{{{a}}}",
        ]
    )


HOSTILE_KINDS: dict[str, tuple[Maker, str]] = {
    "1 fragment": (fragment, "strict"), "2 dropped words": (dropped_words, "strict"), "4 false chain": (false_chain, "strict"),
    "5 lenient": (lenient_hostile, "lenient"), "6 no unit": (no_unit, "strict"), "8 identity": (names, "strict"),
    "10 tiny difference": (tiny, "strict"), "handed back": (handed_back, "strict"), "12 thinking": (thinking_hostile, "whole"),
}  # fmt: skip
RIGHT_KINDS: dict[str, tuple[Maker, str]] = {
    "3 polynomials": (polynomials, "strict"), "4 true chain": (true_chain, "strict"), "5 lenient": (lenient_right, "lenient"),
    "7 dialect": (dialect, "strict"), "9 choices": (choices, "strict"), "9 units": (units, "strict"), "9 spellings": (spellings, "strict"),
    "9 sets": (sets, "strict"), "9 bases, times, texts": (bases_times_texts, "strict"), "12 thinking": (thinking_right, "whole"),
}  # fmt: skip


def rows(
    kinds: dict[str, tuple[Maker, str]], total: int, expected: int, rng: random.Random
) -> Iterator[dict[str, object]]:
    """``total`` different rows, kinds in turn; a kind that has run out of rows is skipped."""
    seen: set[tuple[str, str, str]] = set()
    count, turn = 0, 0
    while count < total:
        kind = list(kinds)[turn % len(kinds)]
        turn += 1
        make, mode = kinds[kind]
        for _ in range(50):
            gold, answer = make(rng)
            if (kind, gold, answer) not in seen:
                seen.add((kind, gold, answer))
                completion = boxed(rng, answer) if mode == "strict" else answer
                shown = "lenient" if mode == "lenient" else "strict"
                yield {"kind": kind, "mode": shown, "gold": gold, "completion": completion, "expected": expected}
                count += 1
                break


def main() -> None:
    rng = random.Random(20261128)
    made = [*rows(HOSTILE_KINDS, HOSTILE, 0, rng), *rows(RIGHT_KINDS, RIGHT, 1, rng)]
    FILE.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
