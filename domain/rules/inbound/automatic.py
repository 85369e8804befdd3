"""Whether a machine answered: absences, receipts of tickets, read receipts. When nothing says so, a person did.

Headers first, as RFC 3834 asks; then the beginning of the subject in many languages; then what the text says of itself.
A wrong stop is a small harm and an awkward follow-up a large one, so doubt speaks for a person.

Source: RFC 3834, RFC 8098; reliability.md 2.11.
"""

import re
from typing import Final

from domain.rules.inbound.mail import Mail

_AUTOMATIC_HEADERS: Final = (
    "x-autoreply",
    "x-auto-reply",
    "x-autorespond",
    "x-autoresponder",
    "x-autoreply-from",
    "x-autoresponse",
    "x-auto-response",
    "x-mail-autoreply",
    "x-mdaemon-autoresponder",
    "x-ms-exchange-inbox-rules-loop",
    "x-fc-machinegenerated",
    "x-apple-action",
    "x-vacation",
    "x-cron-env",
    "x-ezmlm-autoreply",
    "x-wp-autoresponder",
    "x-oof",
    "auto-reply",
    "autoreply",
)
_NOBODY: Final = re.compile(
    r"^(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|donotreply|noreply|auto[-_.]?(?:reply|responder|respond|answer)|"
    r"vacation|"
    r"nao[-_.]?responda|ne[-_.]?pas[-_.]?repondre|no[-_.]?responder|keine[-_.]?antwort|nepasrepondre|noresponder)\b",
    re.IGNORECASE,
)
_SUBJECT: Final = re.compile(
    r"^\W*(?:auto(?:matic|mated|matische[rs]?|matisk[at]?|mática|matica|matique|mat)?[ -]?(?:e?mail )?"
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
    r"in ferie|resposta autom[aá]tica|fora d[oe] escrit[oó]rio|aus[eê]ncia|de f[eé]rias|automatisch antwoord|"
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
    r"this (?:message|e?-?mail|reply) (?:was|is|has been) (?:auto\w*|sent automatically|generated auto\w*)|"
    r"dies(?:e|es)? (?:ist eine automatische|e-?mail wurde automatisch|nachricht wurde automatisch)|"
    r"automatisch (?:generierte|erstellte|erzeugte|versendete)|(?:ceci|c'est) (?:est )?une? (?:réponse|message)"
    r" automatique|"
    r"(?:message|réponse|courriel) (?:envoyé|généré)e? automatiquement|esta es una respuesta autom[aá]tica|"
    r"(?:mensaje|correo) (?:generado|autom[aá]tico)|questa è una risposta automatica|messaggio (?:generato"
    r" )?automatico|"
    r"esta é uma (?:resposta|mensagem) autom[aá]tica|dit is een automatisch\w*|detta är ett auto\w*|dette er et"
    r" auto\w*|"
    r"tämä on automaattinen|to jest automatyczn\w+|это автоматическ\w+|自動(?:応答|返信|送信)(?:メール|メッセージ)?|"
    r"(?:please )?do not (?:reply|respond) to this (?:auto\w* |e?-?mail|message))",
    re.IGNORECASE,
)
_ABOUT_SOMEONE: Final = re.compile(
    r"^[^:]{2,60}\b(?:is|ist|est|est[áa]|è|is momenteel) (?:currently |derzeit |aktuell )?(?:out of (?:the"
    r" )?office|away|"
    r"on (?:vacation|leave|holiday)|außer haus|abwesend|im urlaub|nicht (?:im (?:büro|hause)|erreichbar)|absente?|"
    r"en congé|fuera de la oficina|de vacaciones|fuori (?:ufficio|sede)|in ferie|ausente|afwezig)\b",
    re.IGNORECASE,
)
ABSENT: Final = re.compile(
    r"out of (?:the )?office|\booo\b|away (?:from|until|till|on|for)|on (?:vacation|annual leave|leave|holiday|"
    r"parental|"
    r"maternity|paternity|sick leave|sabbatical|pto)|vacation|(?:limited|no) access to (?:my )?e?-?mail|"
    r"be (?:back|returning|out|away)|return(?:ing)? (?:on|to the office)|abwesen\w*|nicht (?:im büro|am platz|"
    r"erreichbar|da\b)|"
    r"im urlaub|außer haus|ausser haus|elternzeit|zurück\b|absen[tc]\w*|en (?:congé|vacances|déplacement)|de retour|"
    r"fuera de (?:la )?oficina|vacaciones|ausen\w+|regres\w+|reincorpor\w+|fuori (?:sede|ufficio)|assen\w+|in ferie|"
    r"rientr\w+|f[eé]rias|fora do escrit|aus[eê]n\w+|retorn\w+|afwezig\w*|met vakantie|op vakantie|niet op kantoor|"
    r"semester|frånvar\w*|tjänsteledig|ferie|fravær\w*|kontoret|poissa|loma\w*|urlop\w*|nieobecn\w*|poza biurem|"
    r"dovolen\w*|"
    r"nepřítom\w*|kancel\w+|отпуск\w*|отсутств\w*|вне офиса|szabadság\w*|concediu|izinde|ofis dışında|不在|休暇|"
    r"休假|外出|출장|"
    r"휴가|부재|חופש\w*|إجازة|sleeping",
    re.IGNORECASE,
)
_FORMULA: Final = re.compile(
    r"(?:in|for) (?:urgent|case of (?:urgency|emergenc))|urgent (?:matters|cases|issues)|limited access|no access|"
    r"(?:respond|reply|answer) (?:to (?:you|your \w+) )?(?:up)?on my return|your (?:e?-?mail|message) will not be|"
    r"in dringenden|wird nicht weitergeleitet|vertretung|pour toute urgence|en cas d'urgence|en caso de urgencia|"
    r"in caso di urgenza|em caso de urgência|voor dringende|vid brådskande|ved presserende|w pilnych|в срочных",
    re.IGNORECASE,
)
_LOOKED_AT: Final = 1_500


def is_receipt(mail: Mail) -> bool:
    """Whether it only says that a mail was displayed or deleted (an MDN): neither an answer nor a report."""
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
    return "vacation" in mail.header("auto-submitted").lower() or bool(ABSENT.search(about))


def _headers_say_so(mail: Mail) -> bool:
    submitted = mail.header("auto-submitted").strip().lower()
    if submitted and not submitted.startswith("no"):
        return True
    if any(mail.header(name).strip().lower() not in ("", "no", "false") for name in _AUTOMATIC_HEADERS):
        return True
    suppress = {word.strip().lower() for word in mail.header("x-auto-response-suppress").split(",")}
    if "all" in suppress:
        return True
    if mail.header("precedence").strip().lower() in ("auto_reply", "auto-reply", "junk"):
        return True
    if mail.header("precedence").strip().lower() == "bulk" and not mail.header("list-id"):
        return True
    if mail.header("return-path").strip() == "<>" or mail.header("x-post-messageclass").startswith("9"):
        return True
    if "vacation" in mail.header("x-mailer").lower() or "autorespon" in mail.header("x-mailer").lower():
        return True
    return any(_NOBODY.match(address) for address in mail.addresses("from"))


def _text_says_so(mail: Mail, said: str) -> bool:
    begins = said[:_LOOKED_AT]
    if _SAYS_SO.search(begins):
        return True
    threaded = bool(mail.header("in-reply-to") or mail.header("references"))
    return not threaded and bool(ABSENT.search(begins[:400]) and _FORMULA.search(begins))
