# ruff: noqa: E501  (rows of a table)
"""Makers of right completions, one a kind of fault: a gold and an answer that must be paid."""

from __future__ import annotations

import random

from drawing import OPEN_CLOSE, Maker, Pair, n, pick


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


RIGHT_KINDS: dict[str, tuple[Maker, str]] = {
    "3 polynomials": (polynomials, "strict"), "4 true chain": (true_chain, "strict"), "5 lenient": (lenient_right, "lenient"),
    "7 dialect": (dialect, "strict"), "9 choices": (choices, "strict"), "9 units": (units, "strict"), "9 spellings": (spellings, "strict"),
    "9 sets": (sets, "strict"), "9 bases, times, texts": (bases_times_texts, "strict"), "12 thinking": (thinking_right, "whole"),
}  # fmt: skip
