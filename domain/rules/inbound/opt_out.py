"""Whether someone asks in words not to be written to any more, in many languages.

Only what the person wrote counts, never what they quote. A request that holds for a while, that is about something
else, or that is negated is an ordinary reply: the sequence stops on it all the same, and nobody is suppressed.

Source: product.md section 2 (opt-out by text).
"""

import re
from typing import Final

from domain.rules.inbound.opt_out_words import REQUESTS, WORD

_LOOKED_AT: Final = 1_000
_SHORT: Final = 40
_BRIEF: Final = 300  # letters: in so short a text one word that stands alone is a request

# What takes a request back: it holds for now only, or is about something else, or says the opposite.
_NOT_A_REQUEST: Final = re.compile(
    r"\b(?:until|till|for now|right now|at the moment|while|so soon|yet)\b|"
    r"\b(?:bis|vor|im moment|zurzeit|derzeit|solange)\b|\b(?:avant|jusqu|pour l'instant|en ce"
    r" moment)|"
    r"\b(?:antes de|hasta|por ahora|de momento|sin|fino a|prima del|per ora|por enquanto|até)\b|\b(?:voor nu|tot)\b|"
    r"\bдо\b|"
    r"\b(?:not|n't|never|no|nicht|keine|ne|no|non|niet|geen)\b.*\b(?:before|today|this week|heute|diese woche)\b|"
    r"\b(?:don'?t|do not|didn'?t|never|not) (?:want to |wish to |asked? to )?(?:unsubscribe|opt|remove|be"
    r" removed|stop)\b|"
    r"\b(?:how|why|whether|if) (?:\w+ ){0,3}(?:unsubscribe|opt out)|unsubscribe (?:rate|link|button|header)|stop by\b|"
    r"\bnicht (?:abmelden|austragen|löschen)\b|don'?t stop|hesitate|zögern|hésitez|dude en|esiti|"
    r"\b(?:old|previous|former|work|office|alte\w*|ancien\w*|antigu\w+|viej\w+|vecchi\w+|oude) "
    r"(?:e-?mail|mail|address|adresse\w*|dirección|correo|indirizzo|adres|number)\b",
    re.IGNORECASE,
)
_SOMETHING_ELSE: Final = re.compile(
    r"\b(?:meeting|invite|calendar|thread|cc|loop|role|shortlist|from the call|whatsapp|linkedin|cv|resume|résumé|"
    r"lebenslauf\w*|application|bewerbung|candidature|contract|post|profile)\b",
    re.IGNORECASE,
)
_A_LIST: Final = re.compile(
    r"\b(?:your|this|the|any|all) (?:[\w-]+ ){0,2}(?:lists?|database|system|crm|campaign|sequence)\b|mailing ?list|"
    r"verteiler|datenbank",
    re.IGNORECASE,
)
_FOR_A_WHILE: Final = re.compile(
    r"^\W*(?:at least |not |zumindest |jedenfalls |au moins |al menos |almeno |tenminste )?(?:until|till|for now|"
    r"for the "
    r"moment|bis|jusqu|hasta|fino|tot)\b",
    re.IGNORECASE,
)
# Who wishes to go on by other means asks for no more mail, and is no opt-out.
_GOES_ON: Final = re.compile(
    r"\blet'?s (?:talk|speak|meet|chat|call|go)|\b(?:call|ring|phone|text) me\b|\bI(?:'ll| will) (?:contact|call|"
    r"write|get "
    r"back|be in touch|reach)|\binterested\b|\bhappy to (?:talk|speak|meet|chat|sign)|\bsonst gerne?\b|"
    r"\binteressiert (?:mich|uns)|\bruf\w* (?:sie )?mich\b.*\ban\b|\bappelez-moi|m'intéresse|me interesa|ll[aá]m[ae]me|"
    r"\bmi chiami|mi interessa|\bbel me\b",
    re.IGNORECASE,
)
_NEGATES: Final = re.compile(
    r"\b(?:not|never|no|nothing|neither|if|nicht|nichts|kein\w*|nie|wenn|falls|ne|n'|pas|plus|si|non|niet|geen|"
    r"als)\b|n't\b",
    re.IGNORECASE,
)
_TAKES_OUT: Final = re.compile(
    r"remov|unsub|delet|eras|\boff\b|opt|lösch|streich|entfern|abmeld|austrag|verteiler|retir|supprim|désinscri|"
    r"désabonn|"
    r"baja|elimin|borr|quit|cancell|rimuov|verwijder|schrap|afmeld|uitschrij",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_CLAUSE: Final = re.compile(
    r"[,;:()–—]\s*| - |\s(?=(?:but|as|because|since|so|and|aber|denn|weil|da|sondern|mais|car|parce|pero|porque|pues|"
    r"ma|"
    r"perché|omdat|maar)\b)",
    re.IGNORECASE,
)
_GREETING: Final = re.compile(
    r"^\W*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|hallo|guten (?:tag|morgen|abend)|liebe[rs]?|"
    r"sehr geehrte\w*|bonjour|bonsoir|salut|cher|chère|hola|buenos días|buenas|estimad\w+|buongiorno|buonasera|ciao|"
    r"salve|gentile|beste|geachte|goede\w*|dag)\b[^.!?\n]{0,40}$",
    re.IGNORECASE,
)


def asks_to_stop(subject: str, said: str) -> bool:
    """Whether a person asks not to be written to any more. `said` is the text without quotes and signature."""
    text = said.strip()[:_LOOKED_AT].replace("’", "'")
    if is_request_by_subject(subject) and (not text or len(text) < 400):
        return True
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and _GREETING.match(lines[0]):
        del lines[0]
    if lines and len(lines[0]) <= _SHORT and WORD.match(lines[0]):
        return True
    sentences = [sentence for sentence in _SENTENCE.split("\n".join(lines)) if sentence and sentence.strip()]
    if len(text) <= _BRIEF and any(WORD.match(sentence) for sentence in sentences):
        return True
    goes_on = any(
        _GOES_ON.search(clause) and not _NEGATES.search(clause)
        for sentence in sentences
        for clause in _CLAUSE.split(sentence)
    )
    return any(_asks(sentence, goes_on=goes_on) for sentence in sentences)


def _asks(sentence: str, *, goes_on: bool) -> bool:
    """Whether the sentence holds a request that nothing in its own clause takes back."""
    breaks = [(found.start(), found.end()) for found in _CLAUSE.finditer(sentence)]
    starts, ends = [0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(sentence)]
    spans = [(0, len(sentence)), *zip(starts, ends, strict=True)] if breaks else [(0, len(sentence))]
    for start, end in spans:
        for pattern in REQUESTS:
            found = pattern.search(sentence[start:end])
            if found is None:
                continue
            first = max(one for one in starts if one <= start + found.start())
            last = min(one for one in ends if one >= start + found.end())
            clause, rest = sentence[first:last], sentence[last:]
            if _NOT_A_REQUEST.search(clause) or _FOR_A_WHILE.match(rest):
                continue
            if _SOMETHING_ELSE.search(clause) and not _A_LIST.search(clause):
                continue
            if goes_on and not _TAKES_OUT.search(clause):
                continue
            return True
    return False


def is_request_by_subject(subject: str) -> bool:
    """Whether a mail program wrote it for someone who pressed "unsubscribe" (RFC 2369 by mail)."""
    return bool(re.match(r"^\W*unsubscribe\b\W*[\w.:-]{0,80}\W*$", subject.strip(), re.IGNORECASE))
