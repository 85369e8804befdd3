"""The HTML a mail may hold, and the plain text that goes beside it.

The text is read only from what the sanitiser wrote: tags in lower case, attributes in double quotes, every other `<`
escaped.
"""

import re
from html import unescape
from typing import Final

import nh3

_TAGS: Final = frozenset(
    {"a", "abbr", "b", "blockquote", "br", "center", "code", "div", "em", "font", "h1", "h2", "h3", "h4", "h5"}
    | {"h6", "hr", "i", "img", "li", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup", "table", "tbody"}
    | {"td", "tfoot", "th", "thead", "tr", "u", "ul"}
)
_STYLES: Final = frozenset(
    {"color", "background-color", "font-family", "font-size", "font-style", "font-weight", "line-height"}
    | {"text-align", "text-decoration", "margin", "margin-top", "margin-bottom", "margin-left", "margin-right"}
    | {"padding", "padding-top", "padding-bottom", "padding-left", "padding-right", "border", "border-collapse"}
    | {"border-radius", "width", "max-width", "height", "vertical-align"}
)
_CELL: Final = frozenset(("width", "colspan", "rowspan", "valign", "bgcolor"))


def _kept_attribute(tag: str, name: str, value: str) -> str | None:
    is_insecure = tag == "img" and name == "src" and not value.strip().lower().startswith("https://")
    return None if is_insecure else value


_cleaner: Final = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags={"script", "style", "title", "template", "noscript", "iframe", "object", "svg", "math"},
    attributes={
        "*": {"style", "dir", "lang", "align"},
        "a": {"href", "title"},
        "img": {"src", "alt", "title", "width", "height"},
        "font": {"color", "face", "size"},
        "ol": {"start"},
        "table": {"width", "border", "cellpadding", "cellspacing", "bgcolor"},
        "td": set(_CELL),
        "th": set(_CELL),
    },
    attribute_filter=_kept_attribute,
    filter_style_properties=set(_STYLES),
    url_schemes={"https", "http", "mailto", "tel"},
    url_relative="deny",
    link_rel=None,
)

_PIECE: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)((?:[^>\"]|\"[^\"]*\")*)>|([^<]+|<)")
_ATTRIBUTE: Final = re.compile(r"([a-z-]+)=\"([^\"]*)\"")

_PARAGRAPHS: Final = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "table"))
_LINES: Final = frozenset(("div", "li", "tr", "center", "hr"))
_BLOCKS: Final = _PARAGRAPHS | _LINES
_INLINE: Final = frozenset(("abbr", "b", "code", "em", "font", "i", "s", "small", "span", "strong", "sub", "sup", "u"))
_DEPTH_LIMIT: Final = 10


class _Text:
    """The text so far. Line breaks are owed, not written, so that blocks within blocks do not add up."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.owed_breaks = 0
        self.at_line_start = True
        self.space_owed = False
        self.bullet_owed = ""
        self.quote_depth = self.written_depth = 0
        self.pre_depth = 0
        self.lists: list[int | None] = []
        self.link: tuple[str, int] | None = None

    def write(self, text: str) -> None:
        if self.owed_breaks and self.parts:
            blank_margin = "> " * min(self.quote_depth, self.written_depth, _DEPTH_LIMIT)
            blank = f"\n{blank_margin.rstrip()}" * (self.owed_breaks - 1)
            self.parts.append(f"{blank}\n{'> ' * min(self.quote_depth, _DEPTH_LIMIT)}")
        elif not self.parts and self.quote_depth:
            self.parts.append("> " * min(self.quote_depth, _DEPTH_LIMIT))
        elif self.space_owed and not self.at_line_start:
            self.parts.append(" ")
        self.owed_breaks, self.space_owed, self.at_line_start = 0, False, False
        self.written_depth = self.quote_depth
        if self.bullet_owed:
            self.parts.append(self.bullet_owed)
            self.bullet_owed = ""
        self.parts.append(text)

    def words(self, raw: str) -> None:
        text = unescape(raw) if "&" in raw else raw
        if self.pre_depth:
            for number, line in enumerate(text.split("\n")):
                if number:
                    self.new_line(self.owed_breaks + 1)
                if line:
                    self.write(line)
            return
        bare = " ".join(text.split())
        if not bare:
            self.space_owed = True
            return
        if text[0].isspace():
            self.space_owed = True
        self.write(bare)
        self.space_owed = text[-1].isspace()

    def new_line(self, breaks: int) -> None:
        if self.bullet_owed:
            return
        self.owed_breaks = max(self.owed_breaks, breaks)
        self.at_line_start, self.space_owed = True, False

    def opened(self, tag: str, attributes: str) -> None:
        if tag == "li":
            self.bullet_owed = ""
        if tag in _BLOCKS:
            self.new_line(1 if tag in _LINES or (self.lists and tag != "p") else 2)
        if tag == "br":
            self.new_line(min(self.owed_breaks + 1, 3))
        elif tag == "a":
            self.link = (dict(_ATTRIBUTE.findall(attributes)).get("href", ""), len(self.parts))
        elif tag == "li":
            self.bullet_owed = f"{'  ' * (min(len(self.lists), _DEPTH_LIMIT) - 1)}{self._bullet()} "
        elif tag in ("ul", "ol"):
            start = dict(_ATTRIBUTE.findall(attributes)).get("start", "1")
            self.lists.append(None if tag == "ul" else int(start) if start.isdecimal() and len(start) < 9 else 1)
        elif tag == "img":
            if alt := dict(_ATTRIBUTE.findall(attributes)).get("alt", ""):
                self.words(alt)
        elif tag == "hr":
            self.write("---")
            self.new_line(1)
        elif tag in ("td", "th"):
            self.space_owed = not self.at_line_start
        elif tag == "blockquote":
            self.quote_depth += 1
        elif tag == "pre":
            self.pre_depth += 1

    def closed(self, tag: str) -> None:
        if tag == "li":
            self.bullet_owed = ""
        if tag in _BLOCKS:
            self.new_line(1 if tag in _LINES or (len(self.lists) > 1 and tag != "p") else 2)
        if tag == "a" and self.link:
            self._close_link(*self.link)
            self.link = None
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "blockquote" and self.quote_depth:
            self.quote_depth -= 1
        elif tag == "pre" and self.pre_depth:
            self.pre_depth -= 1

    def _bullet(self) -> str:
        number = self.lists[-1] if self.lists else None
        if number is None:
            return "-"
        self.lists[-1] = number + 1
        return f"{number}."

    def _close_link(self, href: str, begin: int) -> None:
        address = unescape(href).removeprefix("mailto:").removeprefix("tel:")
        shown = "".join(self.parts[begin:]).strip()
        if not shown:
            self.write(address)
        elif address and shown not in (address, address.removeprefix("https://"), address.removeprefix("http://")):
            self.space_owed = False
            self.write(f" ({address})")


def sanitised(html: str) -> str:
    """The HTML with only what a mail may hold: text, links, lists, tables, simple styles, images over https."""
    return _cleaner.clean(html)


def text_of(html: str) -> str:
    """Plain text of sanitised HTML: paragraphs, lists, quotes; a link as `text (address)`. Lines end in LF."""
    text = _Text()
    for closing, tag, attributes, words in _PIECE.findall(html):
        if words:
            text.words(words)
        elif tag in _INLINE:
            continue
        elif closing:
            text.closed(tag)
        else:
            text.opened(tag, attributes)
    return "".join(text.parts).strip()
