"""What a text message says and what is answered to it: its segments, and the words that networks know.

Source: 3GPP TS 23.038 section 6.2.1 (the 7-bit alphabet); product.md sections 2 and 5 (SMS STOP).
"""

import re
from enum import StrEnum
from typing import Final

from domain.rules.content import ContentEmpty, ContentTooLarge, Variables, render_text
from domain.rules.inbound.opt_out import asks_to_stop

SEGMENTS_AT_MOST: Final = 10
"""Segments of one message: 1,530 letters of the 7-bit alphabet, 670 of any other. Providers take 1,600 letters."""

_GSM7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_DOUBLE: Final = frozenset("\f^{}\\[~]|€")
_ONE_GSM7, _EACH_GSM7 = 160, 153
_ONE_UCS2, _EACH_UCS2 = 70, 67


def segments(text: str) -> int:
    """How many segments a text is sent and charged as: 0 for an empty one."""
    if all(letter in _GSM7 or letter in _GSM7_DOUBLE for letter in text):
        widths = [2 if letter in _GSM7_DOUBLE else 1 for letter in text]
        one, each = _ONE_GSM7, _EACH_GSM7
    else:
        widths = [2 if ord(letter) > 0xFFFF else 1 for letter in text]
        one, each = _ONE_UCS2, _EACH_UCS2
    if not widths or sum(widths) <= one:
        return min(len(widths), 1)
    count, room = 1, each
    for width in widths:  # a letter of two units is never cut in two
        if width > room:
            count, room = count + 1, each
        room -= width
    return count


def render_text_message(source: str, variables: Variables) -> str:
    """The text for one person, at most SEGMENTS_AT_MOST segments.

    Raises:
        TemplateInvalid, VariableMissing, ContentEmpty, ContentTooLarge: it cannot be filled in.
    """
    text = render_text(source, variables).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()
    if not text:
        raise ContentEmpty("text")
    if segments(text) > SEGMENTS_AT_MOST:
        raise ContentTooLarge("text", f"{SEGMENTS_AT_MOST} segments of a text message")
    return text


class Said(StrEnum):
    """What an incoming text message says to the engine."""

    STOP = "STOP"
    START = "START"
    WORDS = "WORDS"


# One word that is the whole message. STOP and its like are what the networks themselves act upon.
_STOP_WORDS: Final = (
    "stop stopall stopp unsubscribe cancel end quit optout revoke "  # English, and what all networks know
    "abmelden austragen abbestellen ende stoppen "  # German
    "arret arrêt arreter arrêter desabonner désabonner desinscrire désinscrire fin "  # French
    "baja alto parar cancelar detener salir "  # Spanish
    "cancella disiscrivi uitschrijven afmelden remover sair wypisz"  # Italian, Dutch, Portuguese, Polish
)
_STOP: Final = frozenset(_STOP_WORDS.split())
_START: Final = frozenset(("start", "unstop"))
_LETTERS: Final = re.compile(r"[^\w]+|_+")


def said(text: str) -> Said:
    """What a person's text message asks for.

    STOP and its like in several languages, and whole sentences that ask to be left alone, opt out. START and UNSTOP
    ask to be written to again: that is noted, and lifts nothing by itself. Everything else, HELP and YES included, is
    a person's answer, for a person to read.
    """
    word = _LETTERS.sub("", text).casefold()
    if word in _STOP:
        return Said.STOP
    if word in _START:
        return Said.START
    return Said.STOP if asks_to_stop("", text) else Said.WORDS
