"""A page as a list of elements with attributes, text and ancestors."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

EMPTY = {"meta", "input", "link", "img", "br"}


@dataclass
class Element:
    tag: str
    attributes: dict
    ancestors: list
    text: str = ""
    children: list = field(default_factory=list)

    def inside(self, tag):
        return any(ancestor.tag == tag for ancestor in self.ancestors)


class Tree(HTMLParser):
    """Asserts on the way that every element is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.all, self.open = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), list(self.open))
        self.all.append(element)
        if self.open:
            self.open[-1].children.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.all.append(Element(tag, dict(attrs), list(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def of(self, *tags):
        return [element for element in self.all if element.tag in tags]
