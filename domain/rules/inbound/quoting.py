"""What a person wrote, apart from what they quote and their signature.

Lines that begin with ">" are quoted, and so is the line that introduces them ("On … wrote:", in many languages, over
up to four lines). What an Outlook header block, a line such as "-----Original Message-----" or an introduction
without ">" opens is quoted to the end. What is written between quoted lines is kept.

Source: product.md section 2 (a reply in the thread).
"""

import re
from dataclasses import dataclass
from typing import Final

_LINES_OF_INTRODUCTION: Final = 4
_LINE_AT_MOST: Final = 600  # longer ones introduce nothing, and are not looked at

_WROTE: Final = re.compile(
    r"(?:wrote|writes|schrieb\w*|a écrit|écrivait|escribió|escribio|ha scritto|scrisse|escreveu|schreef|skrev|"
    r"kirjoitti|napisał\w*|napsal\w*|пише|писал\w*|написал\w*|napísal\w*|a scris|írta|yazdı|έγραψε|写道|のメール|"
    r"さんは書きました|님이 작성|wrote the following)\s?[^\n]{0,60}[:：]\s*$",
    re.IGNORECASE,
)
_BEGINS: Final = re.compile(
    r"^\W*(?:on|am|le|el|il|em|op|den|dne|dnia|w dniu|в|пн|вт|ср|чт|пт|сб|вс|\d{1,4}[-./年]|"
    r"(?:mon|tue|wed|thu|fri|sat|sun)\w*,?|(?:mo|di|mi|do|fr|sa|so)\.?,|ti|ke|to|pe|la|su|tarihinde|στις)\b",
    re.IGNORECASE,
)
_HAS_WHEN_OR_WHO: Final = re.compile(r"\d|@|<")
_WHO_AND_WHEN: Final = re.compile(r"(?=.*\d[:.h]\d\d(?!\d))(?=.*<[^<>\s]+@[^<>\s]+>).*[:：]$", re.DOTALL)
_ANY_FIELD: Final = re.compile(r"^[\s*>]*[^\W\d]{1,20}(?: [^\W\d]{1,12})?\s?\*?\s?[:：]\*?\s*\S")
_PERSON_FIELD: Final = re.compile(r"^[^:：]{1,36}[:：].*[<\[](?:mailto:)?[^<>\s]+@[^<>\s]+[>\]]")
_TIME_OF_DAY: Final = re.compile(r"\d[:.h]\d\d(?!\d)")
_ORIGINAL: Final = re.compile(
    r"^[\s>*]*-{2,}\s*(?:original (?:message|appointment)|forwarded message|ursprüngliche nachricht|"
    r"weitergeleitete nachricht|message (?:d'origine|original|transféré)|mensaje original|messaggio originale|"
    r"mensagem original|oorspronkelijk bericht|originalmeddelande|ursprungligt meddelande|oprindelig meddelelse|"
    r"opprinnelig melding|alkuperäinen viesti|wiadomość oryginalna|původní zpráva|исходное сообщение|"
    r"пересланное сообщение|元のメッセージ|原始邮件|원본 메시지|reply above this line|please reply above)",
    re.IGNORECASE,
)
_HEADER_WORDS: Final = (
    r"(?:from|von|de|da|van|från|fra|lähettäjä|od|от|kimden|feladó|από|差出人|发件人|寄件者|보낸 사람)",
    r"(?:sent|date|gesendet|datum|envoyé|enviado|fecha|inviato|data|enviada|verzonden|skickat|sendt|lähetetty|wysłano|"
    r"odesláno|отправлено|дата|gönderilme|送信日時|发送时间|日期|subject|betreff|objet|asunto|oggetto|assunto|"
    r"onderwerp|"
    r"ämne|emne|aihe|temat|předmět|тема|konu|件名|主题|主旨|to|an|à|para|a|aan|till|til|do|komu|кому|宛先|收件人|"
    r"cc|reply-to)",
)
_FROM_LINE: Final = re.compile(rf"^[\s*>]*{_HEADER_WORDS[0]}\s?\*?\s?[:：]\*?\s*\S", re.IGNORECASE)
_NEXT_LINE: Final = re.compile(rf"^[\s*>]*{_HEADER_WORDS[1]}\s?\*?\s?[:：]\*?\s*\S", re.IGNORECASE)
_RULE: Final = re.compile(r"^[\s>]*[_\-–—*=]{5,}[\s]*$")
_LIST_FOOTER: Final = re.compile(r"^_{20,}\s*$")
_SIGNATURE: Final = re.compile(
    r"^(?:--\s?$|—\s?$|__+\s*$|-\w+(?: \w+){0,3}\s*$|"
    r"(?:sent|sended) (?:from|via|with|using) (?:my |a |the )?(?:\w[\w'.-]*\s?){1,4}$|"
    r"sent from (?:my|an?) [^,;:!?]{0,40}(?:phone|device|pad|pixels|android|blackberry|mobile)\W*$|"
    r"get outlook for \w+|(?:von meinem|gesendet (?:von|mit)) .{1,40}$|envoyé (?:de|depuis) mon .{1,40}$|"
    r"enviado (?:desde|do) (?:mi|meu) .{1,40}$|inviato (?:da|dal) .{1,40}$|verstuurd vanaf .{1,40}$|"
    r"skickat från .{1,40}$|sendt fra .{1,40}$|lähetetty \S{1,40}$|wysłan[eo] z .{1,40}$|odesláno z .{1,40}$|"
    r".{1,30} küldve$|.{1,30} gönderildi$|отправлено с .{1,40}$|\S{1,20}から送信$|发自我?的?\s?\S{1,20}$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Split:
    """`reply` is what the person wrote; `quoted` the rest, signature included, in the order it stood."""

    reply: str
    quoted: str


def split(text: str) -> Split:
    """Return the text split. What holds nothing but a quote keeps an empty reply."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    quoted = _quoted_lines(lines)
    _mark_signature(lines, quoted)
    reply = "\n".join(line for line, is_quoted in zip(lines, quoted, strict=True) if not is_quoted)
    rest = "\n".join(line for line, is_quoted in zip(lines, quoted, strict=True) if is_quoted)
    return Split(reply.strip(), rest.strip())


def _quoted_lines(lines: list[str]) -> list[bool]:
    quoted = [line.lstrip().startswith(">") for line in lines]
    index = 0
    while index < len(lines):
        if quoted[index]:
            index += 1
            continue
        if _opens_quote_to_the_end(lines, index):
            return quoted[:index] + [True] * (len(lines) - index)
        length = _introduction(lines, index)
        if length:
            following = next((i for i in range(index + length, len(lines)) if lines[i]), None)
            if following is None or not quoted[following]:
                if not _BEGINS.match(lines[index]):  # "As Ann wrote on 5 May:" may stand in anyone's letter
                    index += 1
                    continue
                return quoted[:index] + [True] * (len(lines) - index)
            for line in range(index, following):
                quoted[line] = True
        index += max(length, 1)
    return quoted


def _opens_quote_to_the_end(lines: list[str], index: int) -> bool:
    line = lines[index]
    if len(line) > _LINE_AT_MOST or not line:
        return False
    if _ORIGINAL.match(line):
        return True
    following = [other for other in lines[index + 1 : index + 6] if other.strip()]
    if _PERSON_FIELD.match(line) and _ANY_FIELD.match(line):  # a block of four fields, in whatever language
        block = following[:3]
        if sum(bool(_ANY_FIELD.match(other)) for other in block) == 3 and _TIME_OF_DAY.search("\n".join(block[:2])):
            return True
    if _FROM_LINE.match(line):
        return sum(bool(_NEXT_LINE.match(other)) for other in following[:4]) >= 2
    if _LIST_FOOTER.match(line) and following:
        return bool(re.search(r"mailing list|listinfo|unsubscribe|https?://", "\n".join(following)))
    if _RULE.match(line) and following:
        return bool(_FROM_LINE.match(following[0])) and any(_NEXT_LINE.match(other) for other in following[1:])
    return False


def _introduction(lines: list[str], index: int) -> int:
    """Return over how many lines what begins here introduces a quote; 0 when it does not."""
    if not lines[index] or len(lines[index]) > _LINE_AT_MOST:
        return 0
    for length in range(1, _LINES_OF_INTRODUCTION + 1):
        part = lines[index : index + length]
        if len(part) < length or not part[-1] or part[-1].lstrip().startswith(">"):
            return 0
        joined = " ".join(part)
        below = next((line for line in lines[index + length :] if line.strip()), "")
        stands_alone = index == 0 or not lines[index - 1].strip()
        if stands_alone and below.lstrip().startswith(">") and _tells_who_and_when(part):
            return length
        if not _WROTE.search(joined):
            continue
        begins = bool(_BEGINS.match(part[0])) or length == 1
        tells = _HAS_WHEN_OR_WHO.search(joined) or below.lstrip().startswith(">")
        return length if begins and tells else 0
    return 0


def _tells_who_and_when(part: list[str]) -> bool:
    """Whether it is an address, a time and a colon, in whatever language: what programs write above a quote."""
    if not _WHO_AND_WHEN.match(" ".join(part)):
        return False
    return part[-1].startswith("<") or not _WHO_AND_WHEN.match(" ".join(part[1:]))


def _mark_signature(lines: list[str], quoted: list[bool]) -> None:
    """Mark what is below a signature's first line, up to the next quoted line. A first line signs nothing."""
    index = next((i for i, line in enumerate(lines) if line and not quoted[i]), len(lines)) + 1
    while index < len(lines):
        if not quoted[index] and len(lines[index]) < 120 and _SIGNATURE.match(lines[index].strip("*")):
            end = next((i for i in range(index, len(lines)) if quoted[i]), len(lines))
            if not lines[index].startswith("-") or lines[index].strip() == "--" or _only_blank(lines, index + 1, end):
                for line in range(index, end):
                    quoted[line] = True
                index = end
        index += 1


def _only_blank(lines: list[str], begin: int, end: int) -> bool:
    return not any(lines[i].strip() for i in range(begin, end))
