"""What a delivery report means: the address is dead, delivery failed for another reason, or it only takes longer.

Looked at in this order: whether the refusal is for good, the stage it came at, the enhanced status code that the mail
server itself named, its words, and at last the report's own Status. What speaks of policy, content, a full mailbox,
the sender or the network never makes an address dead; of two readings the milder is taken.

Source: RFC 3463, RFC 3464; product.md sections 4 and 6; reliability.md 2.9, 2.10, M25.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.rules.inbound.reports import Undelivered
from domain.rules.step_errors import StepErrorCode

DETAIL_AT_MOST: Final = 500


class Fate(StrEnum):
    """What became of a mail, as a report tells it."""

    HARD = "HARD"
    FAILED = "FAILED"
    DELAYED = "DELAYED"
    ARRIVED = "ARRIVED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` says why, for a step error; `detail` keeps the words it was read from."""

    fate: Fate
    code: StepErrorCode
    detail: str


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_WHO: Final = (
    r"(?:user(?:name)?|recipient|mail ?box|account|addressee|local[- ]?part|alias|customer|person|subscriber|"
    r"(?:e-?mail |destination |recipient )?address(?:ee)?)"
)
_LOCAL_TABLE: Final = r"unknown in (?:\w+ ){0,4}(?:table|list|map)"
_UNKNOWN_USER: Final = _any(
    rf"\b(?:unknown|unkown|unexisting|nonexist(?:e|a)nt|non-exist(?:e|a)nt|no such|not? (?:known|valid)|bad|"
    rf"incorrect|undefined|invalid)[ -](?:or \w+ |local |final |virtual |rcpt |destination |e-?mail |mail )*{_WHO}\b",
    rf"\b{_WHO}s?\b[^;.\n]{{0,70}}?\b(?:unknown|unkown|not known|not found|not be found|not exist|doesn'?t exist|"
    rf"non-?exist\w*|not recogni[sz]ed|no longer (?:valid|exists?|available|in use|on|here|an?)|not (?:a )?valid|"
    rf"(?:is |was )?invalid|not listed|not in (?:the )?(?:directory|list)|unavailable|deleted|closed|expunged)\b",
    r"\bno (?:mailbox|account|user|recipient)s? (?:here|by that name|with (?:this|that)|found|exists?|of that name)",
    r"\bno valid (?:recipients?|cell phone|rcpt)",
    r"doesn'?t (?:have|handle) an? .{0,60}?account",
    r"does not have an? .{0,60}?account",
    r"\b(?:isn'?t|is not) (?:a |an? )?(?:valid|known|active|existing|local) (?:e-?mail |mail )?"
    r"(?:user|recipient|mailbox|account|address)",
    r"not (?:our|a local) (?:customer|user|member)",
    r"recipnotfound|nosuchuser|user[._ -]unknown|unknown[._ -]user",
    r"not a known user|no mail ?box here|address(?:ee)? unknown|who are you looking for",
    r"recipient name is not recogni[sz]ed|unroute?able address|unknown or illegal alias|alias unknown",
    r"(?:delivery|recipient|destination|rcpt|to) address (?:is )?(?:rejected|invalid)\W*$",
    r"address rejected \S+@\S+\W*$|#5\.1\.[01] address rejected",
    r"(?:bad|invalid|malformed) (?:destination|recipient) (?:mailbox )?address",
    r"requested action not taken: mailbox (?:unavailable|not found)",
    rf"{_LOCAL_TABLE}",
    r"destinataire.{0,30}(?:inconnu|invalide|introuvable)|adresse.{0,60}(?:invalide|introuvable|inexistante)",
    r"utilisateur inconnu|bo[iî]te.{0,30}inexistante|n'existe pas",
    r"(?:empfänger|benutzer|adresse|postfach)\w*.{0,40}(?:unbekannt|existiert nicht|nicht gefunden|ungültig)",
    r"unbekannte[rn]? (?:empfänger|benutzer|adresse)",
    r"(?:usuario|destinatario|direcci[oó]n|buz[oó]n|cuenta).{0,40}(?:desconocid|no existe|inexistente|no"
    r" encontrad|inv[aá]lid)",
    r"(?:utente|destinatario|casella|indirizzo).{0,40}(?:sconosciut|inesistente|non trovat|non esiste|non valid)",
    r"(?:usu[aá]rio|destinat[aá]rio|endere[cç]o|conta).{0,40}(?:desconhecid|n[aã]o existe|inexistente|inv[aá]lid)",
    r"(?:пользовател|почтовый ящик|адрес|получател)\w*.{0,40}(?:не существует|не найден|неизвест)",
    r"宛先.{0,20}(?:見つか|存在し|不明)|ユーザー?.{0,12}(?:見つか|存在し|不明)|メールアドレス.{0,20}(?:見つか|存在し)",
    r"收件人.{0,12}不存在|用户不存在|邮箱不存在",
)
_SURE_USER: Final = _any(
    r"doesn'?t have an? .{0,60}?account|does not have an? .{0,60}?account|email account that you tried to reach"
    r" does not",
)
_UNKNOWN_HOST: Final = _any(
    r"\b(?:unknown|no such|nonexistent|unresolv\w*|invalid|bad) (?:mail )?(?:host|domain)",
    r"\b(?:host|domain|hostname|server)s?(?: or domain)?(?: name)?\b[^;.\n]{0,60}?\b(?:unknown|not found|not exist|"
    r"doesn'?t exist|not be found|couldn'?t be found|non-?existent|not reachable|no mx)",
    r"\bno such domain|nxdomain|name or service not known|address lookup failed|no dns data|domain lookup failed",
    r"(?:find|found|resolve) any (?:host|mail server)|couldn'?t find any host|no (?:mx|a) record|unrouteable "
    r"(?:mail )?domain",
    r"mx records point to non-?existent|illegal host/domain|dns error.{0,40}(?:nxdomain|domain name not found)",
)
_TAKES_NO_MAIL: Final = _any(
    r"null ?mx|does not accept (?:any )?(?:e-?)?mail\b|doesn'?t accept (?:any )?(?:e-?)?mail\b|no mx found|"
    r"(?:domain|host|recipient)\b.{0,40}not (?:accept|configured to (?:accept|receive))\w* (?:e-?)?mail|"
    r"destination (?:domain|server) .{0,30}does not receive"
)
_MOVED: Final = _any(
    r"(?:user|recipient|mailbox|address|account|person)\b.{0,60}\b(?:has moved|have moved|moved to|has changed|"
    r"has been (?:replaced|moved)|new address)",
    r"no longer (?:at|works? (?:for|at)|with|using) (?:this|that|the)?|left the company|moved; please try|"
    r"mail address (?:has )?changed|(?:the )?new address (?:is|:)|adresse.{0,20}a changé|\bhas moved to\b|user moved",
)
_FULL: Final = _any(
    r"\b(?:mail ?box|inbox|folder|account|user|recipient|he|maildir)\b.{0,50}\b(?:full|over ?quota|quota exceeded|"
    r"exceed\w* (?:\w+ ){0,4}(?:quota|storage|space|limit|size))",
    r"over (?:the )?(?:\w+ ){0,3}quota|quota (?:\w+ ){0,3}(?:exceed|violat|limit|reach|is full)|overquota|out of"
    r" storage|"
    r"(?:disk|storage|mailbox) (?:quota|space|limit)|exceed\w* (?:\w+ ){0,3}(?:quota|storage)|mailbox (?:is )?full|"
    r"exceeds? (?:his|her|their|its) quota|insufficient (?:disk|system|storage)|shutoffquota|too many messages in|"
    r"postfach.{0,20}voll|bo[iî]te.{0,30}pleine|buz[oó]n.{0,20}lleno|casella.{0,20}piena|переполнен|容量|"
    r"no space left|not enough (?:disk )?space|no more space|has too many messages|storage (?:is )?full",
)
_SIZE: Final = _any(
    r"(?:message|mail|size|length)\b.{0,40}\b(?:exceed\w*|too (?:large|big|long)|larger than|over limit)|"
    r"too (?:large|big) (?:a )?(?:message|mail)|maximum (?:message )?size|size limit"
)
_SUSPENDED: Final = _any(
    r"suspend|disabled|frozen|inactive|not active|deactivat|locked|temporar\w+ (?:unavailable|locked)|"
    r"has not logged|dormant|out of service|currently not (?:accept|receiv)"
)
_UNPROVEN: Final = _any(
    r"\bspf\b|\bdkim\b|\bdmarc\b|unauthenticated (?:e?mail|sender)|sender ?id|authentication (?:check|fail)|"
    r"reverse dns|\brdns\b|\bptr\b|(?:not|failed to) authenticat"
)
_POLICY: Final = _any(
    r"\bspam\w*|\bunsolicited|\bube\b|\bbulk\b|\bblock(?:ed|ing|list)?\b|black ?list|deny ?list|block ?list|"
    r"\brbl\b|dnsbl|"
    r"spamhaus|spamcop|barracudacentral|polic(?:y|ies)|reputation|\bbanned?\b|virus|malware|phish|suspicious|"
    r"prohibit|not permitted|permission|denied|forbidden|unauthori[sz]ed|not authori[sz]ed|not allowed|access restrict|"
    r"relay\w* (?:access )?(?:denied|not|prohibit|reject|refus|mail)|(?:no|not|denied|unable to|cannot) relay|"
    r"open relay|"
    r"autoris\w+|autoriz\w+|berechtig\w+|content (?:was )?(?:rejected|refused|filter)|message (?:was )?"
    r"(?:content )?(?:filtered|rejected|refused|blocked)|"
    r"your (?:message|mail|e-?mail|ip|host|server|domain|country)\b.{0,60}(?:reject|refus|block|not accept|denied)|"
    r"complaint|abus|rate limit|too many|too much|thrott|limit exceeded|max(?:imum)? (?:\w+ )?connection|exceeded the|"
    r"sender\b.{0,60}(?:reject|refus|denied|not exist|invalid|verif|unknown|not found|unroutable|block)|"
    r"(?:domain of |from |return |unroutable |originator )sender|sender(?:'s)? (?:domain|address)|"
    r"mail from|from address|preferences|refused due to|not verified|verification|unverifiable|"
    r"client host|your ip|client ip|ip (?:address )?\S+ (?:is|has|was)|bad (?:helo|ehlo|sender)|helo|not a"
    r" member|restricted|only accepts|private|greylist"
)
_NETWORK: Final = _any(
    r"expired|time[d ]?[- ]?out|timeout|could not deliver for|in the queue too long|too long in|retry time|"
    r"no route to host|connection (?:refused|reset|closed|lost|dropped|failed)|requests to connect|too many hops|"
    r"hop count|mail loop|loops? back|loop detected|network (?:error|is unreachable)|unreachable|deferred|"
    r"temporar|try again later|lost connection|establish an? smtp connection|unable to connect|gave up|giving up after|"
    r"name server.{0,30}(?:failure|timeout|reply)|malformed or unexpected|server failure|wasn't able to establish"
)
_DELAYED: Final = _any(
    r"\bdelay(?:ed)?\b|still being retried|will be retried|will (?:continue to )?(?:keep )?try|temporary failure"
    r" report|"
    r"delivery attempts will continue|not yet (?:been )?delivered|warning message only|does not need to be resent|"
    r"do not need to re-?send|message will be retried|has not been delivered yet|no action is required"
)
_GIVEN_UP: Final = _any(
    r"not going to try again|giving up|gave up|delivery (?:has )?failed|permanent|will not be retried|returned"
    r" to sender"
)

_URL: Final = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"<?[^\s<>]+@[^\s<>,;:]+>?")
_ENHANCED: Final = re.compile(r"(?<![\d.])([45])\.(\d{1,2})\.(\d{1,3})(?![\d.]*\d)")
_REPLY_CODE: Final = re.compile(r"(?<![\d.-])([45][0-5]\d)(?=[ \-:#,]|$)")
_NAMELESS: Final = re.compile(r"\b550[ :]*: user unknown", re.IGNORECASE)
_NAMED: Final = re.compile(r"\b550 <[^<>\s]+@[^<>\s]+>: user unknown", re.IGNORECASE)
_NOBODY_AT_MICROSOFT: Final = re.compile(r"5\.4\.1\b.{0,400}\brecipient address rejected: access denied", re.IGNORECASE)
_NOBODY_AT_OUTLOOK: Final = re.compile(r"mailbox unavailable \(-?\d+:\d+:-?\d+\)", re.IGNORECASE)
_QUOTED_ANSWER: Final = re.compile(
    r"(?:error that the other server returned was|remote host said|server response was|responded as follows|"
    r"server message|response from the remote server(?: was)?|following error message|host \S+ said|\bsaid)\s*[:\n]",
    re.IGNORECASE,
)
_MTA_TYPE: Final = re.compile(r"^\s*[A-Za-z][A-Za-z0-9-]*;")

_DEAD: Final = frozenset({"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "4.4"})


def verdict(one: Undelivered) -> Verdict:
    """Return what became of the mail to this address."""
    if one.action in ("delivered", "relayed", "expanded"):
        return Verdict(Fate.ARRIVED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED, _short(one.said))
    if _is_delayed(one):
        return Verdict(Fate.DELAYED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED, _short(one.said))
    for words in dict.fromkeys((_answer(one.said), one.said, one.notice, one.subject)):
        found = _of_words(_MTA_TYPE.sub(" ", words), one)
        if found is not None:
            return Verdict(*found, _short(words))
    code = one.status.partition(".")[2]
    if one.status.startswith("5.") and code in _DEAD - {"1.0"} and one.command != "MAIL":
        return Verdict(Fate.HARD, StepErrorCode.EMAIL_INVALID, _short(one.said or one.status))
    return Verdict(Fate.FAILED, _by_status(one.status), _short(one.said or one.notice))


def _answer(words: str) -> str:
    """Return the mail server's own words, where a report quotes them."""
    found = _QUOTED_ANSWER.search(words)
    return words[found.end() :] if found else words


def _is_delayed(one: Undelivered) -> bool:
    if one.action:
        return one.action == "delayed"
    if one.status.startswith("5."):
        return False
    return bool(_DELAYED.search(one.notice)) and not _GIVEN_UP.search(one.notice)


def _of_words(text: str, one: Undelivered) -> tuple[Fate, StepErrorCode] | None:
    """Return what the words say; None when they say nothing that is known."""
    bare = _ADDRESS.sub(" <> ", _URL.sub(" ", text))
    codes = [
        f"{major}.{int(subject)}.{int(detail)}" for major, subject, detail in _ENHANCED.findall(_URL.sub(" ", text))
    ]
    reasons = {code[2:] for code in codes}
    replies = [reply for reply in _REPLY_CODE.findall(bare) if reply[1:] != "00"]
    for_now = bool(codes and all(code[0] == "4" for code in codes)) or bool(
        replies and not codes and all(reply[0] == "4" for reply in replies)
    )
    for_now = for_now or (not codes and not replies and one.status.startswith("4."))
    if _NOBODY_AT_MICROSOFT.search(text) or _NOBODY_AT_OUTLOOK.search(text):
        return Fate.HARD, StepErrorCode.EMAIL_INVALID
    if milder := _not_about_the_address(bare, text, reasons):
        return milder
    if for_now or one.command in ("MAIL", "HELO", "EHLO"):
        return (Fate.FAILED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED) if codes or replies else None
    if (_UNKNOWN_HOST.search(bare) or _TAKES_NO_MAIL.search(bare)) and not _NETWORK.search(bare):
        return Fate.HARD, StepErrorCode.EMAIL_INVALID
    says_unknown = bool(_UNKNOWN_USER.search(bare) or _MOVED.search(bare))
    if reasons & _DEAD and (says_unknown or not _NETWORK.search(bare)):
        return Fate.HARD, StepErrorCode.EMAIL_INVALID
    if says_unknown:
        # Who says it, and about what? To RCPT it is about the address; so is what the reporting system says itself.
        # After DATA, or where the stage is not told, the same words are also used for a refused message.
        about_address = one.command == "RCPT" or not (replies or codes) or bool(_NAMED.search(text))
        if _NAMELESS.search(text) or (one.command == "DATA" and not _SURE_USER.search(bare)):
            about_address = bool(reasons & _DEAD or one.status[2:] in _DEAD)
        if _SURE_USER.search(bare) and one.command:
            about_address = True
        if about_address:
            return Fate.HARD, StepErrorCode.EMAIL_INVALID
        if one.status.startswith("5.") and one.status[2:] in _DEAD - {"1.0"}:
            return None
        return Fate.FAILED, StepErrorCode.RECIPIENT_REFUSED_CONTENT
    if _NETWORK.search(bare):
        return Fate.FAILED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED
    return None


def _not_about_the_address(bare: str, text: str, reasons: set[str]) -> tuple[Fate, StepErrorCode] | None:
    """Return why it failed when that is the mailbox's state, the sender, the content or a policy."""
    if "2.2" in reasons or _FULL.search(bare):
        return Fate.FAILED, StepErrorCode.MAILBOX_FULL
    if reasons & {"2.3", "3.4"} or _SIZE.search(bare):
        return Fate.FAILED, StepErrorCode.MESSAGE_TOO_LARGE
    if _UNPROVEN.search(bare):
        return Fate.FAILED, StepErrorCode.DOMAIN_NOT_AUTHENTICATED
    if any(reason.startswith(("7.", "6.")) for reason in reasons) or _POLICY.search(bare) or _LISTED.search(text):
        return Fate.FAILED, StepErrorCode.RECIPIENT_REFUSED_CONTENT
    if _SUSPENDED.search(bare):
        return Fate.FAILED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED
    if reasons & {"1.7", "1.8"}:
        return Fate.FAILED, StepErrorCode.SENDER_NOT_ALLOWED
    return None


_LISTED: Final = re.compile(r"spamhaus|spamcop|barracudacentral|sorbs|uribl|/rbl|postmaster\.live", re.IGNORECASE)


def _by_status(status: str) -> StepErrorCode:
    if status.endswith(".2.2"):
        return StepErrorCode.MAILBOX_FULL
    if status.endswith((".2.3", ".3.4")):
        return StepErrorCode.MESSAGE_TOO_LARGE
    if status.startswith(("5.7.", "5.6.")):
        return StepErrorCode.RECIPIENT_REFUSED_CONTENT
    return StepErrorCode.SOFT_BOUNCE_EXHAUSTED if status.startswith("4.") else StepErrorCode.RECIPIENT_REFUSED_CONTENT


def _short(words: str) -> str:
    return " ".join(words.split())[:DETAIL_AT_MOST]
