r"""Closed tables of spelling: which commands print nothing, and which signs and commands are one."""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.wordlists import words

# Signs that stand for exactly one LaTeX spelling. Digits of other scripts are absent on purpose.
_UNICODE = {
    "\u2212": "-", "\u2013": "-", "\u2010": "-", "\u2011": "-", "\u00d7": r"\times ", "\u22c5": r"\cdot ",
    "\u00b7": r"\cdot ",
    "\u00f7": r"\div ", "\u03c0": r"\pi ", "\u221e": r"\infty ", "\u00b0": r"^\circ ", "\u00b1": r"\pm ",
    "\u2213": r"\mp ", "\u2264": r"\le ", "\u2265": r"\ge ", "\u2260": r"\ne ", "\u2248": r"\approx ",
    "\u2205": r"\emptyset ", "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2208": r"\in ", "\u2211": r"\sum ",
    "\u220f": r"\prod ", "\u222b": r"\int ", "\u211d": r"\mathbb{R}", "\u2124": r"\mathbb{Z}",
    "\u2115": r"\mathbb{N}",
    "\u03b8": r"\theta ", "\u03b1": r"\alpha ", "\u03b2": r"\beta ", "\u03b3": r"\gamma ", "\u03bb": r"\lambda ",
    "\u03c6": r"\phi ", "\u03a9": r"\Omega ", "\u2126": r"\Omega ", "\u03bc": r"\mu ", "\u00b5": r"\mu ",
    "\u03c9": r"\omega ", "\u03c3": r"\sigma ", "\u0394": r"\Delta ", "\u2220": r"\angle ", "\u25b3": r"\triangle ",
    "\u2261": r"\equiv ", "\u21d2": r"\implies ", "\u00ac": r"\neg ",
    "\u2192": r"\to ", "\u2032": "'", "\u2019": "'", "\u2026": r"\ldots ",
    "\u2713": r"\checkmark ",
    "\u2227": r"\land ", "\u2228": r"\lor ", "\u2216": r"\setminus ", "\u20ac": r"\euro ", "\u00a3": r"\pounds ",
    "\u00a5": r"\yen ", "\u20b9": r"\rupee ", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u3000": " ",
    "\u3002": ".",
    "\u00a2": r"\text{ cents}", "\uff0c": ",", "\uff1a": ":", "\u3001": ",", "\uff08": "(", "\uff09": ")",
    "\u2044": "/",
    "\u2215": "/",
}  # fmt: skip
_UNICODE |= {
    sign: rf"\frac{{{top}}}{{{bottom}}}"
    for sign, top, bottom in (
        ("\u00bd", 1, 2), ("\u2153", 1, 3), ("\u2154", 2, 3), ("\u00bc", 1, 4), ("\u00be", 3, 4), ("\u2155", 1, 5),
        ("\u2156", 2, 5), ("\u2157", 3, 5), ("\u2158", 4, 5), ("\u2159", 1, 6), ("\u215a", 5, 6), ("\u215b", 1, 8),
        ("\u215c", 3, 8), ("\u215d", 5, 8), ("\u215e", 7, 8), ("\u2150", 1, 7), ("\u2151", 1, 9), ("\u2152", 1, 10),
    )
}  # fmt: skip
_TABLE = str.maketrans(_UNICODE)
_SUPERSCRIPTS = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-")
_SUBSCRIPTS = str.maketrans("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089", "0123456789")
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207b]+")
_LOWERED = re.compile("[\u2080-\u2089]+")
_ROOT = re.compile("\u221a\\s*(?:\\{|([0-9]+(?:\\.[0-9]+)?|[A-Za-z])|(?=\\())")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[A-Za-z])")
_DOUBLED_DELIMITER = re.compile(r"\\\\(?=[()\[\]{},;!])")
_PRIMES = re.compile(r"\^(?:\s*\\prime(?![a-z])|\{(?:\s*\\prime(?![a-z])\s*)+\})")
_MARKDOWN = re.compile(r"^(\*\*|__|`+)(.+)\1$", re.DOTALL)
# ASCII superscript digits of other scripts never reach these tables; ``illegal_characters`` refuses them first.
READ_SIGNS = (
    frozenset(_UNICODE)
    | set("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u221a")
    | {chr(code) for code in range(0x2080, 0x208A)}
)


@lru_cache(maxsize=4096)
def unify(text: str) -> str:
    """One spelling for signs of Unicode, doubled backslashes and markdown emphasis around the whole."""
    text = text.strip()
    if not text.isascii():
        text = _RAISED.sub(lambda run: "^{" + run[0].translate(_SUPERSCRIPTS) + "}", text)
        text = _LOWERED.sub(lambda run: "_{" + run[0].translate(_SUBSCRIPTS) + "}", text)
        text = _ROOT.sub(
            lambda found: rf"\sqrt{{{found[1]}}}" if found[1] else found[0].replace("\u221a", r"\sqrt"), text
        )
        text = text.translate(_TABLE)
    # Marks inside as well mean two emphasised parts, not emphasis around the whole.
    while (inner := _MARKDOWN.match(text)) and inner[1] not in inner[2]:
        text = inner[2].strip()
    if "..." in text:
        text = text.replace("...", r"\ldots ")
    if r"\prime" in text:
        text = _PRIMES.sub(lambda found: "'" * found[0].count("prime"), text)
    # Inside an environment a doubled backslash ends a row.
    if r"\begin" not in text and r"\\" in text:
        text = _DOUBLED_DELIMITER.sub(r"\\", _DOUBLED_BACKSLASH.sub(r"\\", text))
    return text


SIGNS = {"\u201c": '"', "\u201d": '"', "\u2018": "'"}
SPACES = frozenset(
    (r"\,", r"\;", r"\:", "\\ ", "\\\n", r"\quad", r"\qquad", r"\thinspace", r"\enspace", r"\>", r"\hfill")
)
SIZED = frozenset((r"\left", r"\right", r"\middle"))
LAYOUT = SIZED | {r"\!"} | frozenset(
    rf"\{name}"
    for name in words(
        "big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm displaystyle textstyle",
        "scriptstyle limits nolimits tiny small normalsize large Large LARGE huge Huge rm bf it sf tt cal",
        "mathstrut boldmath centering checkmark ( ) [ ] bfseries itshape em noindent displaylimits square",
        "blacksquare",
    )
)  # fmt: skip
WITH_ARGUMENT = frozenset(
    (r"\color", r"\hspace", r"\vspace", r"\textcolor", r"\colorbox", r"\mspace", r"\label", r"\tag", r"\hskip")
)
TEXT_COMMANDS = frozenset(
    rf"\{name}"
    for name in words(
        "text textbf textit textrm textnormal textsf texttt textsc mbox hbox emph textup",
    )
)
ROMAN_COMMANDS = frozenset((r"\mathrm", r"\operatorname", r"\mathop", r"\rm"))
# A box, a brace or a colour around something is emphasis; ``mathit`` is how a letter looks anyway.
_EMPHASIS = frozenset(
    rf"\{name}"
    for name in words(
        "boxed fbox framebox mathit mathnormal mathsf mathtt ensuremath underline cancelto displaybox bcancel",
    )
) - {r"\cancelto", r"\bcancel"}
FONT_COMMANDS = {
    r"\mathbf": "vector", r"\boldsymbol": "vector", r"\bm": "vector", r"\vec": "vector", r"\overrightarrow": "vector",
    r"\mathbb": "bb", r"\mathcal": "cal", r"\mathscr": "cal", r"\mathfrak": "frak", r"\pmb": "vector", r"\hat": "hat",
    r"\bar": "bar", r"\tilde": "tilde", r"\widehat": "hat", r"\Bbb": "bb",
}  # fmt: skip
# Accents that change what a numeral means, where a bold numeral is the same numeral.
ACCENTS = frozenset((r"\hat", r"\bar", r"\tilde", r"\widehat", r"\vec", r"\overrightarrow"))
ARROWS = frozenset((r"\vec", r"\overrightarrow"))
GROUPING = TEXT_COMMANDS | (ROMAN_COMMANDS - {r"\rm"}) | _EMPHASIS | frozenset(FONT_COMMANDS)
ENVIRONMENTS = {
    **dict.fromkeys(("pmatrix", "bmatrix", "Bmatrix", "matrix", "smallmatrix", "array"), "matrix"),
    "vmatrix": "vmatrix", "Vmatrix": "vmatrix", "cases": "cases", "dcases": "cases", "aligned": "aligned",
}  # fmt: skip

COMMAND_SPELLINGS = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\sfrac": r"\frac", r"\nicefrac": r"\frac",
    r"\dbinom": r"\binom", r"\tbinom": r"\binom", r"\leq": r"\le", r"\leqslant": r"\le", r"\leqq": r"\le",
    r"\geq": r"\ge",
    r"\geqslant": r"\ge", r"\geqq": r"\ge", r"\neq": r"\ne", r"\lt": "<", r"\gt": ">", r"\varnothing": r"\emptyset",
    r"\lbrace": r"\{", r"\rbrace": r"\}", r"\langle": "(", r"\rangle": ")", r"\lparen": "(", r"\rparen": ")",
    r"\lbrack": "[", r"\rbrack": "]", r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|", r"\|": r"\Vert",
    r"\lVert": r"\Vert", r"\rVert": r"\Vert", r"\simeq": r"\approx", r"\thickapprox": r"\approx", r"\vee": r"\lor",
    r"\wedge": r"\land", r"\wp": r"\wp", r"\rightarrow": r"\to", r"\longrightarrow": r"\to", r"\dots": r"\ldots",
    r"\cdots": r"\ldots", r"\dotsc": r"\ldots", r"\ast": "*", r"\colon": ":", r"\backslash": r"\setminus",
    r"\smallsetminus": r"\setminus", r"\arcsinh": r"\arsinh", r"\varphi": r"\phi", r"\varepsilon": r"\epsilon",
    r"\degree": r"\circ*", r"\degrees": r"\circ*", r"\textdegree": r"\circ*", r"\EUR": r"\euro",
    r"\texteuro": r"\euro",
    r"\textdollar": r"\$",
    r"\mathdollar": r"\$", r"\surd": r"\sqrt", r"\lnot": r"\neg",
    r"\pound": r"\pounds", r"\textsterling": r"\pounds", r"\prime": "'", r"\cr": r"\\",
    r"\newline": r"\\", r"\tabularnewline": r"\\", r"\lg": r"\lg", r"\sen": r"\sin", r"\tg": r"\tan",
    r"\ctg": r"\cot",
    r"\arctg": r"\arctan", r"\cosec": r"\csc", r"\bigcup": r"\cup", r"\bigcap": r"\cap", r"\cancel": r"\cancel",
    r"\overbar": r"\overline",
    r"\mapsto": r"\to", r"\longmapsto": r"\to",
    r"\Rightarrow": r"\implies", r"\Longrightarrow": r"\implies",

}  # fmt: skip
GREEK = frozenset(
    rf"\{name}"
    for name in words(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi",
        "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar",
    )
)
FUNCTIONS = frozenset(
    words(
        "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch ln",
        "log lg exp arsinh arcosh artanh",
    )
)
INTEGER_FUNCTIONS = frozenset(
    words(
        "gcd lcm max min floor ceil factorial binomial mod det inf sup dim ker deg arg Pr",
    )
)
INTEGRALS = frozenset((r"\int", r"\iint", r"\iiint", r"\oint"))
BIG_OPERATORS = INTEGRALS | {r"\sum", r"\prod", r"\lim"}
INTEGRAL_NAMES = frozenset(name[1:] for name in INTEGRALS)
BIG_NAMES = frozenset(name[1:] for name in BIG_OPERATORS)
KNOWN = (
    GREEK
    | BIG_OPERATORS
    | {rf"\{name}" for name in FUNCTIONS}
    | {rf"\{name}" for name in INTEGER_FUNCTIONS}
    | frozenset(
        rf"\{name}"
        for name in words(
            "frac sqrt binom choose pi infty cdot times div pm mp le ge ne approx equiv in notin cup cap setminus",
            "to emptyset land lor circ circ* overline dot pmod bmod mod lfloor rfloor lceil rceil angle triangle",
            "euro pounds yen rupee ldots ll gg subset subseteq sim cong parallel perp Re Im partial Vert star",
            "odot over implies neg therefore",
        )
    )
)
AS_SIGN = {
    "<": "<", ">": ">", r"\{": r"\{", r"\}": r"\}", "(": "(", ")": ")", "[": "[", "]": "]", "|": "|", "*": "*",
    ":": ":",
    "'": "'", r"\%": "%", r"\$": r"\$", r"\#": "#", r"\&": "&", r"\_": "_", r"\\": r"\\", r"\-": "-",
}  # fmt: skip

_SHORT_WORDS = frozenset(
    words(
        "yes no odd one two six ten red mon tue wed thu fri sat sun all none or and if not is the a.m p.m am",
        "pm pct true day days even base mod inch feet cm mm km kg ft in min sec hr hrs lb lbs mph per oz",
    )
) - {"a.m", "p.m"}
# Longer names first, else sinh would be read as sin and h.
_DIALECT = re.compile("|".join(sorted((*FUNCTIONS, "sqrt", "pi"), key=len, reverse=True)))
_SHORTEST_WORD = 4


def is_plain_word(run: str) -> bool:
    """Whether a run of letters outside text commands is a word and neither a name nor a product."""
    if run in FUNCTIONS or run in INTEGER_FUNCTIONS or run in ("sqrt", "abs", "pi", "infty", "inf", "oo"):
        return True
    if run.casefold() in _SHORT_WORDS and not run.isupper():
        return True
    if len(run) < _SHORTEST_WORD - 1 or run.isupper() or _DIALECT.search(run):
        return False
    return len(run) >= _SHORTEST_WORD or (run[0].isupper() and run[1:].islower())


def split_letters(run: str) -> list[str]:
    """Letters of a product; names of functions inside a run stay whole (``xsin`` is x times sin)."""
    parts: list[str] = []
    position = 0
    for found in _DIALECT.finditer(run):
        parts += [*run[position : found.start()], found[0]]
        position = found.end()
    return [*parts, *run[position:]]
