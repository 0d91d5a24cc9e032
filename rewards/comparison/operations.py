"""Which operations an answer leaves to the grader, judged by what the gold has."""

from __future__ import annotations

from rewards.comparison.normal_form import normal_form
from rewards.comparison.numerals import TooLarge
from rewards.comparison.spellings import INTEGRAL_NAMES
from rewards.comparison.tree import (
    MINUS_ONE,
    Add,
    Call,
    Div,
    Matrix,
    Mul,
    Num,
    Pow,
    Scalar,
    Sym,
    Uncovered,
    children,
    free_symbols,
    walk,
)

_ALWAYS = frozenset(("integral", "sum", "product", "limit", "derivative"))
_CONSTANTS = _ALWAYS | {"integer function", "trigonometry", "logarithm", "tower", "determinant"}
_RATIONALS = _CONSTANTS | {"root", "power", "absolute value"}
_TRIGONOMETRY = frozenset(
    f"{start}{name}{end}"
    for start in ("", "arc", "ar")
    for name in ("sin", "cos", "tan", "cot", "sec", "csc")
    for end in ("", "h")
)
_CLASS = (
    {
        "sum": "sum",
        "prod": "product",
        "lim": "limit",
        "derivative": "derivative",
        "root": "root",
        "ln": "logarithm",
        "log": "logarithm",
        "lg": "logarithm",
        "abs": "absolute value",
        "degrees": "degrees",
        "arg": "integer function",
    }
    | dict.fromkeys(_TRIGONOMETRY, "trigonometry")
    | dict.fromkeys(INTEGRAL_NAMES, "integral")
)


def unevaluated(gold: object, answer: object) -> bool:
    """Whether the tree ``answer`` has an operation that it should have worked out.

    Integrals, sums, products, limits and derivatives are refused beside any gold that has none. Beside a gold without
    symbols so are integer functions, functions of angles, logarithms and power towers; beside a gold of rational
    numbers also roots, powers and absolute values.
    """
    refused = _ALWAYS if free_symbols(gold) else _RATIONALS if _rational(gold) else _CONSTANTS
    allowed = operations(gold) | ({"trigonometry"} if _has_polar_form(gold) else set())
    return bool((operations(answer) & refused) - allowed)


def _has_polar_form(gold: object) -> bool:
    """Whether the gold has a power of e with i in the exponent, which sine and cosine spell out."""
    powers = (part for part in walk(gold) if isinstance(part, Pow) and part.base == Sym("e"))
    return any(Sym("i") in walk(power.exponent) for power in powers)


def operations(tree: object) -> frozenset[str]:
    """Classes of operations in a tree; scientific notation is a numeral."""
    found = set()
    for part in _without_notation(tree):
        if isinstance(part, Call):
            name = part.name
            found.add(_CLASS.get(name, name if name.startswith("apply") else "integer function"))
        elif isinstance(part, Pow):
            found.add("power")
            if any(isinstance(below, Pow) for below in walk(part.exponent)):
                found.add("tower")
        elif isinstance(part, Matrix) and part.kind == "vmatrix":
            found.add("determinant")
    return frozenset(found)


def _without_notation(tree: object) -> list[object]:
    """All parts except the power of ten of a numeral such as 1.5 x 10^3."""
    parts: list[object] = []
    stack = [tree]
    while stack:
        part = stack.pop()
        if is_scientific(part):
            continue
        parts.append(part)
        stack += children(part)
    return parts


def is_scientific(part: object) -> bool:
    """A decimal of one leading digit times a whole power of ten."""
    if not isinstance(part, Mul) or len(part.factors) != 2:
        return False
    mantissa, power = part.factors
    if not isinstance(mantissa, Num) or not isinstance(power, Pow) or not isinstance(power.exponent, Num):
        return False
    # A minus sign in front of a power of ten is no mantissa.
    leading = 1 <= abs(mantissa.value) < 10 and mantissa != MINUS_ONE
    return leading and isinstance(power.base, Num) and power.base.value == 10


def _rational(tree: object) -> bool:
    """Whether every scalar below ``tree`` is a rational number."""
    return all(_is_rational(part) for part in _tops(tree))


def _tops(tree: object) -> list[Scalar]:
    if isinstance(tree, Scalar):
        return [tree]
    return [top for below in children(tree) for top in _tops(below)]


def _is_rational(scalar: Scalar) -> bool:
    if isinstance(scalar, Sym):
        return scalar.name in ("oo", "i")
    if all(isinstance(part, Num | Add | Mul | Div) or part == Sym("i") for part in walk(scalar)):
        return True
    try:
        return normal_form(scalar).constant() is not None
    except TooLarge:
        return True
    except Uncovered:
        return False
