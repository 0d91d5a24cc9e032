# ruff: noqa: E501  (rows of a table)
"""Makers of hostile completions, one a kind of fault: a gold and an answer that must not be paid."""

from __future__ import annotations

import random

from drawing import OPEN_CLOSE, Maker, Pair, letters, n, pick


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


HOSTILE_KINDS: dict[str, tuple[Maker, str]] = {
    "1 fragment": (fragment, "strict"), "2 dropped words": (dropped_words, "strict"), "4 false chain": (false_chain, "strict"),
    "5 lenient": (lenient_hostile, "lenient"), "6 no unit": (no_unit, "strict"), "8 identity": (names, "strict"),
    "10 tiny difference": (tiny, "strict"), "handed back": (handed_back, "strict"), "12 thinking": (thinking_hostile, "whole"),
}  # fmt: skip
