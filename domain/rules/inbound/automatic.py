"""Whether a machine answered: absences, receipts of tickets, read receipts. When nothing says so, a person did.

Headers first, as RFC 3834 asks; then the beginning of the subject in many languages; then what the text says of itself.
A wrong stop is a small harm and an awkward follow-up a large one, so doubt speaks for a person.

Source: RFC 3834, RFC 8098; reliability.md 2.11.
"""

import re
from typing import Final

from domain.rules.inbound.absence import ABSENT, speaks_of_absence
from domain.rules.inbound.mail import Mail

_AUTOMATIC_HEADER: Final = re.compile(
    r"(?:x-)?(?:[a-z]+-){0,3}auto-?(?:repl(?:y|ied)|respon[ds]\w*|generated|answer\w*)(?:-from)?|"
    r"x-(?:ms-exchange-inbox-rules-loop|fc-machinegenerated|apple-action|(?:[a-z]+-)?vacation|"
    r"cron-env|oof|[a-z]+-loop)",
    re.IGNORECASE,
)
_NOBODY: Final = re.compile(
    r"^(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|donotreply|noreply|auto[-_.]?(?:reply|responder|respond|answer)|"
    r"vacation|"
    r"nao[-_.]?responda|ne[-_.]?pas[-_.]?repondre|no[-_.]?responder|keine[-_.]?antwort|nepasrepondre|noresponder)\b",
    re.IGNORECASE,
)
_SUBJECT: Final = re.compile(
    r"^\W*(?:(?:request|ticket|case|enquiry|inquiry) (?:received|created|opened|registered)\b|"
    r"(?:message|mensaje|messaggio) autom\w+|auto(?:matic|mated|matische[rs]?|matisk[at]?|mática|matica|matique|mat)?"
    r"[ -]?(?:e?mail )?"
    r"(?:repl\w*|respon\w*|answer\w*|antwort\w*|svar|bericht|antwoord|reactie|notification)\b|"
    r"auto(?:[- ]?re|matic(?:al)?)?\s?:|autoreply|autosvar|autovastaus|autovast\w*|"
    r"(?:mail |email )?acknowledg\w+ of (?:receipt|your)|\[?auto(?:-?reply|response)?\]|"
    r"out[ -]of[ -](?:the[ -])?office|\[?ooo\b|oof\b|away from (?:my|the) (?:office|desk|e?-?mail|computer)|"
    r"(?:i am |i'm |currently |temporarily )?(?:away|absent|on (?:vacation|leave|holiday|annual leave|parental leave|"
    r"maternity leave|sick leave)|out sick)\b|vacation (?:reply|response|message|notice|auto)|holiday (?:notice|reply)|"
    r"abwesen\w*|abwesend|ich bin (?:nicht im büro|im urlaub|abwesend)|urlaub\w*:|außer haus|nicht im büro|"
    r"eingangsbestätigung|"
    r"automatische empfangs\w*|réponse automatique|réponse d'absence|absence (?:du|de)|absent(?:e)?\b|message"
    r" d'absence|"
    r"en congés?\b|accusé de réception|notification d'absence|respuesta autom[aá]tica|fuera de (?:la )?oficina|"
    r"ausencia|ausente|de vacaciones|acuse de recibo|risposta automatica|fuori (?:sede|ufficio)|assenza|assente|"
    r"in ferie|resposta autom[aáà]tica|fora d[oe] escrit[oó]rio|aus[eê]ncia|de f[eé]rias|automatisch antwoord|"
    r"automatisch bericht|afwezig\w*|niet (?:op|aanwezig)|ontvangstbevestiging|autosvar|automatiskt svar|"
    r"automatisk svar|fr[aå]nvar\w*|frånvaro\w*|fravær\w*|ikke på kontoret|ej på kontoret|på semester|ferie\b|"
    r"automaattinen vastaus|poissa\w*|lomalla|automatyczna odpowiedź|odpowied[zź] automatyczna|nieobecno\w*|"
    r"poza biurem|automatick[áa] odpov\w+|mimo kancel\w+|nepřítom\w*|automatikus v[áa]lasz|h[áa]zon k[íi]v[üu]l|"
    r"r[ăa]spuns automat|absen[țt]\w*|автоматическ\w+ (?:ответ|уведомлен)\w*|автоответ\w*|вне офиса|в отпуске|"
    r"автоматична відповідь|автоматичен отговор|αυτόματη απάντηση|εκτός γραφείου|otomatik (?:yan[ıi]t|cevap)|"
    r"ofis d[ıi][şs][ıi]nda|自動応答|自動返信|自動回覆|自动回复|自动答复|不在通知|不在の|休暇|外出中|자동 ?"
    r"(?:회신|응답)|부재중|"
    r"תשובה אוטומטית|מענה אוטומטי|הודעת היעדרות|رد تلقائي|الرد التلقائي|خارج المكتب|trả lời tự động|ตอบกลับอัตโนมัติ|"
    r"balasan otomatis|automatski odgovor|samodejni odgovor|automatinis atsakymas|automātiskā atbilde|automaatvastus|"
    r"sjálfvirkt svar)",
    re.IGNORECASE,
)
_SAYS_SO: Final = re.compile(
    r"\b(?:this is an? auto(?:mat\w+|-)[ -]?(?:generated )?(?:e?-?mail |message )?(?:reply|response|message|"
    r"answer|e?-?mail|"
    r"notification|acknowledg\w+)|auto(?:matically)?[ -](?:generated|sent) (?:reply|response|message|e?-?mail)|"
    r"this (?:message|e?-?mail|reply) (?:was|is|has been) (?:an? )?(?:(?:auto(?:mat\w+)?[ -]?)(?:generated|sent|"
    r"created|"
    r"issued|produced|composed|reply|response|message)|automat(?:ed|ic)\b|(?:sent|generated) auto\w*\b(?! \w+ed\b))|"
    r"dies(?:e|es)? (?:ist eine automatische|(?:e-?mail|nachricht|antwort) wurde automatisch (?:generiert|erstellt|"
    r"erzeugt|vers[ae]nd\w*|verschickt|gesendet|beantwortet))|"
    r"automatisch (?:generierte|erstellte|erzeugte|versendete)|(?:ceci|c'est) (?:est )?une? (?:réponse|message)"
    r" automatique|"
    r"(?:message|réponse|courriel) (?:envoyé|généré)e? automatiquement|esta es una respuesta autom[aá]tica|"
    r"(?:mensaje|correo) (?:generado|autom[aá]tico)|questa è una risposta automatica|messaggio (?:generato"
    r" )?automatico|"
    r"esta é uma (?:resposta|mensagem) autom[aá]tica|dit is een automatisch\w*|detta är ett auto\w*|dette er et"
    r" auto\w*|"
    r"tämä on automaattinen|to jest automatyczn\w+|это автоматическ\w+|自動(?:応答|返信|送信)(?:メール|メッセージ)?|"
    r"\byour (?:message|e?-?mail) (?:about [^\n]{1,80} )?(?:is|will be) (?:being )?"
    r"(?:held|waiting|quarantined|delivered)\b|"
    r"complete the verification|list of approved senders|"
    r"\bthis automat(?:ic|ed) (?:reply|response|message|answer|e-?mail)\b|"
    r"automatische[nrs]? (?:empfangs)?(?:bestätigung|antwort|nachricht)|"
    r"automatically generated (?:in response|to confirm)|"
    r"(?:please )?do not (?:reply|respond) to this (?:auto\w* |e?-?mail|message)(?!,? (?:if|unless)\b)|"
    r"\b(?:your|a|the) (?:support )?(?:ticket|case|request|incident)\b[^.\n]{0,40}\b(?:has been|was) "
    r"(?:created|opened|logged|registered|received)\b(?! by (?:my|a|the)\b))",
    re.IGNORECASE,
)
# Before it: the mail is only taken to be automatic, or is so on a condition.
_IN_DOUBT: Final = re.compile(
    r"\b(?:if|unless|whether|assum\w+|guess\w*|suppos\w+|think|believe|suspect|presum\w+|seems?|looks?|sounds?|might|"
    r"may|"
    r"perhaps|probably|hope|know|wonder\w*|because|not an?|wenn|falls|sofern|ob|vermut\w+|nehme|glaube|denke|scheint|"
    r"wohl|wahrscheinlich|vielleicht|keine?|si|sauf|suppose|pense|crois|semble|doute|peut-être|pas une?|supongo|creo|"
    r"parece|quizás|no es|se|suppongo|credo|sembra|forse|non è|als|tenzij|denk|vermoed|lijkt|misschien|geen)\b",
    re.IGNORECASE,
)
_ANSWERS: Final = re.compile(
    r"\b(?:happy to|glad to|keen|interested|let's|let’s|sounds (?:good|great|fine)|looking forward|call me|"
    r"works for me)\b|"
    r"^\W*(?:yes|yep|sure|no(?: thanks?| thank you)?(?=[.,!])|ok|okay|ja|nein|gern\w*|oui|sí|claro|sì|certo|nee|si)\b",
    re.IGNORECASE,
)
_OF_A_PERSON: Final = re.compile(
    r"\b(?:I|I'm|I’m|I'd|I’d|I'll|I’ll|me|my)\b|(?i:\b(?:ich|mir|mich|je|moi|yo|io|mi|ik|mij)\b)"
)
_SENTENCE: Final = re.compile(r"(?<=[.!。！])\s+|(?<=[?？])(?!\s*[?？])|\n\s*\n|\n(?=\W*[A-ZÀ-Þ])")
_SENTENCES_OF_HEAD: Final = 3  # the greeting is one
_ABOUT_SOMEONE: Final = re.compile(
    r"^[^:]{2,60}\b(?:is|ist|est|est[áa]|è|is momenteel) (?:currently |derzeit |aktuell )?(?:out of (?:the"
    r" )?office|away|"
    r"on (?:vacation|leave|holiday)|außer haus|abwesend|im urlaub|nicht (?:im (?:büro|hause)|erreichbar)|absente?|"
    r"en congé|fuera de la oficina|de vacaciones|fuori (?:ufficio|sede)|in ferie|ausente|afwezig)\b",
    re.IGNORECASE,
)
_FORMULA: Final = re.compile(
    r"\bif (?:it(?:'|’)?s|it is|this is|your \w+ is) urgent|not (?:be )?(?:checking|reading) (?:my )?e?-?mails?|"
    r"(?:in|for) (?:urgent|case of (?:urgency|emergenc))|urgent (?:matters|cases|issues)|limited access|no access|"
    r"(?:respond|reply|answer) (?:to (?:you|your \w+) )?(?:up)?on my return|your (?:e?-?mail|message) will not be|"
    r"in dringenden|wird nicht weitergeleitet|vertretung|pour toute urgence|en cas d'urgence|en caso de urgencia|"
    r"in caso di urgenza|em caso de urgência|voor dringende|vid brådskande|ved presserende|w pilnych|в срочных",
    re.IGNORECASE,
)
_UNREAD: Final = re.compile(
    r"\b(?:this|the) (?:mail ?box|inbox|e-?mail (?:address|account)|address|account) is "
    r"(?:no longer|not) (?:being |actively )?"
    r"(?:monitored|read|checked|in use|used|active)\b(?! \w+ly\b| often\b)|messages? (?:sent )?to this "
    r"(?:mail ?box|address) (?:is|are|will) not (?:be )?(?:read|monitored|checked|answered|delivered)",
    re.IGNORECASE,
)
_SELF: Final = re.compile(r"\b(?:I|me|my|mine|I'm|I’m|we|us)\b")
_SUBJECT_OF_RECEIPT: Final = re.compile(
    r"(?:read|not read|deleted|gelesen|ungelesen|lu|non lu|leído|no leído|letto|gelezen|lid[oa]|läst|læst|lest|luettu|"
    r"przeczytan[oe]|přečteno|olvasva|okundu|прочтено|прочитано|開封済み|已读|읽음)\s?[:：]",
    re.IGNORECASE,
)
_ASKS: Final = re.compile(r"[?？؟]")
_LOOKED_AT: Final = 1_500


def is_receipt(mail: Mail) -> bool:
    """Whether it only says that a mail was displayed or deleted (an MDN): neither an answer nor a report."""
    if _SUBJECT_OF_RECEIPT.match(mail.header("subject")):
        return True
    return mail.report_type == "disposition-notification" or any(
        part.kind == "message/disposition-notification" and not part.returned for part in mail.parts
    )


def is_automatic(mail: Mail, said: str) -> bool:
    """Whether a machine sent it. `said` is the text without what it quotes."""
    subject = mail.header("subject")
    by_subject = bool(_SUBJECT.match(subject) or _ABOUT_SOMEONE.match(subject))
    return by_subject or _headers_say_so(mail) or _text_says_so(mail, said)


def is_absence(mail: Mail, said: str) -> bool:
    """Whether an automatic answer says that its person is away."""
    about = f"{mail.header('subject')}\n{said[:_LOOKED_AT]}\n{mail.header('x-apple-criteria')}"
    return "vacation" in mail.header("auto-submitted").lower() or speaks_of_absence(about)


def _headers_say_so(mail: Mail) -> bool:
    submitted = mail.header("auto-submitted").strip().lower()
    if submitted and not submitted.startswith("no"):
        return True
    for name, value in mail.headers:
        if _AUTOMATIC_HEADER.fullmatch(name) and value.strip().lower() not in ("", "no", "false"):
            return True
    suppress = {word.strip().lower() for word in mail.header("x-auto-response-suppress").split(",")}
    if "all" in suppress:
        return True
    if mail.header("precedence").strip().lower() in ("auto_reply", "auto-reply", "junk"):
        return True
    if mail.header("precedence").strip().lower() == "bulk" and not mail.header("list-id") and not _is_threaded(mail):
        return True  # in a thread it may be a CRM that marks all it sends
    if mail.header("return-path").strip() == "<>" or mail.header("x-post-messageclass").startswith("9"):
        return True
    if "vacation" in mail.header("x-mailer").lower() or "autorespon" in mail.header("x-mailer").lower():
        return True
    return any(_NOBODY.match(address) for address in mail.addresses("from"))


def _text_says_so(mail: Mail, said: str) -> bool:
    begins = said[:_LOOKED_AT]
    if _says_so_itself(begins):
        return True
    if _is_threaded(mail) and _ASKS.search(said):
        return False  # who asks wants an answer
    away = ABSENT.search(f"{mail.header('subject')}\n{begins[:400]}")
    marked = mail.header("precedence").strip().lower() == "bulk" and not mail.header("list-id")
    if away and (marked or _FORMULA.search(begins)):
        return True
    unread = _UNREAD.search(f"{mail.header('subject')}\n{begins}")
    return bool(unread) and not _SELF.search(begins)


def _says_so_itself(begins: str) -> bool:
    """Whether a sentence says of the mail that a machine wrote it: at its head, or where no person speaks beside it."""
    sentences = [sentence for sentence in _SENTENCE.split(begins) if sentence and sentence.strip()]
    if any(_ANSWERS.search(sentence) for sentence in sentences):
        return False
    speaks = any(_ASKS.search(sentence) or _OF_A_PERSON.search(sentence) for sentence in sentences)
    for number, sentence in enumerate(sentences):
        found = _SAYS_SO.search(sentence)
        if found is None or _ASKS.search(sentence) or _IN_DOUBT.search(sentence[: found.start()]):
            continue
        if number < _SENTENCES_OF_HEAD or not speaks:
            return True
    return False


def _is_threaded(mail: Mail) -> bool:
    return bool(mail.header("in-reply-to") or mail.header("references"))
