"""What the words of a refusal are about: the address, its mailbox's state, the message, who sent it, or the way there.

Mail servers say the same few things in a thousand sentences, so the words are read by meaning, in several languages.
Whoever asks decides what follows: the same words count for less where they answered something else than the recipient.

Source: RFC 3463; the providers' own lists of replies (tests/data/refusals).
"""

import re
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_WHO: Final = (
    r"(?:user(?:name)?|recipient|mail ?box|account|addressee|local[- ]?part|alias|customer|person|subscriber|"
    r"(?:e-?mail |destination |recipient )?address(?:ee)?)"
)
_LOCAL_TABLE: Final = r"unknown in (?:\w+ ){0,4}(?:table|list|map)"
_UNKNOWN_USER: Final = _any(
    rf"\b(?:unknown|unkown|unexisting|nonexist(?:e|a)nt|non-exist(?:e|a)nt|no such|not? (?:known|valid)|bad|"
    rf"incorrect|undefined|invalid|unrecogni[sz]ed)[ -](?:or \w+ |local |final |virtual |rcpt |destination |"
    rf"e-?mail |mail )*"
    rf"{_WHO}s?\b",
    rf"\b{_WHO}(?:e?s)?\b[^;.\n]{{0,70}}?\b(?:unknown|unkown|not known|not found|not be found|not exist|doesn'?t exist|"
    rf"non-?exist\w*|not recogni[sz]ed|no longer (?:valid|exists?|available|in use|on|here|an?)|not (?:a )?valid|"
    rf"(?:is |was )?invalid|not listed|not in (?:the )?(?:directory|list)|unavailable|deleted|closed|expunged)\b",
    r"\bno (?:mailbox|account|user|recipient)s? (?:here|by that name|with (?:this|that)|found|exists?|of that name)",
    r"\bno valid (?:recipients?|cell phone|rcpt)|\bdoes no exists?\b|no longer works? here|\buser not local\b",
    rf"\b(?:do not|don'?t|cannot|can'?t|could not|couldn'?t) (?:have|find) (?:an? |the |any |this )?{_WHO}\b",
    r"\bno (?:such )?(?:e-?mail |mail )?(?:user|account|address|person|one) (?:by|of|with|at|in|on|here)\b",
    r"doesn'?t (?:have|handle) an? .{0,60}?account",
    r"does not have an? .{0,60}?account",
    r"\b(?:isn'?t|is not) (?:a |an? )?(?:valid|known|active|existing|local) (?:e-?mail |mail )?"
    r"(?:user|recipient|mailbox|account|address)",
    r"\bnot a (?:valid|known|local|registered) (?:e-?mail |mail )?(?:user|recipient|mailbox|account|"
    r"address|customer)",
    r"not (?:our|a local) (?:customer|user|member)|unavailable (?:mail )?(?:user|recipient|mailbox|account|address)",
    r"address\b.{0,20}\bno longer accepts (?:e-?)?mail|recipients? cannot be verified|"
    r"not found by smtp address lookup",
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
    r"收件人.{0,12}不存在|用户不存在|邮箱不存在|帐号不存在|查無此|無此使用者",
    r"무효한|없는 ?(?:사용자|계정|주소)|존재하지 ?않는",
    r"(?:geadresseerde|gebruiker|adres|ontvanger).{0,40}(?:onbekend|niet gevonden|bestaat niet)|onbekende gebruiker",
    r"(?:mottagar|användar|adress)\w*.{0,40}(?:okänd|finns inte|hittades inte)|(?:bruker|mottaker)\w*.{0,30}ukjent",
    r"nie ma taki\w+ (?:uż|uz)ytkownik|(?:odbiorc|adres|użytkownik|konto)\w*.{0,40}(?:nie istnieje|nieznan)",
    r"(?:uživatel|příjemce|adresa|schránka).{0,40}(?:neexistuje|neznám)|(?:kullanıcı|alıcı|adres).{0,30}bulunamadı",
)
_SURE_USER: Final = _any(
    r"doesn'?t have an? .{0,60}?account|does not have an? .{0,60}?account|email account that you tried to reach"
    r" does not",
)
_UNKNOWN_HOST: Final = _any(
    r"\b(?:unknown|no such|nonexistent|unresolv\w*|invalid|bad) (?:mail )?(?:host|domain)",
    r"\b(?:host|domain|hostname|server)s?(?: or domain)?(?: name)?\b(?:[^;.\n]|"
    r"\.(?=\S)){0,60}?\b(?:unknown|not found|not exist|"
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
    r"postfach.{0,20}voll|bo[iî]te.{0,30}pleine|buz[oó]n.{0,20}lleno|casella.{0,20}piena|переполнен|"
    r"disk (?:is )?full|容量|"
    r"空间不足|空間不足|邮箱已满|quota überschritten|speicher\w* (?:überschritten|voll)|"
    r"espace insuffisant|cheia\b|llen[ao]\b|pełn[ae]\b|"
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
    r"prohibit|not permitted|permission|denied|forbidden|unauthori[sz]ed|not authori[sz]ed|not allowed|"
    r"access restrict|"
    r"relay\w* (?:access )?(?:denied|not|prohibit|reject|refus|mail)|(?:no|not|denied|unable to|cannot) relay|"
    r"open relay|"
    r"autoris\w+|autoriz\w+|berechtig\w+|content (?:was )?(?:rejected|refused|filter)|message (?:was )?"
    r"(?:content )?(?:filtered|rejected|refused|blocked)|"
    r"your (?:message|mail|e-?mail|ip|host|server|domain|country)\b.{0,60}(?:reject|refus|block|not accept|denied)|"
    r"your (?:\w+ )?domain\b.{0,30}(?:not exist|unknown|invalid|not found|not resolv)|"
    r"complaint|abus|rate limit|too many|too much|thrott|limit exceeded|max(?:imum)? (?:\w+ )?connection|"
    r"exceeded the|"
    r"sender\b.{0,60}(?:reject|refus|denied|not exist|invalid|verif|unknown|not found|unroutable|block)|"
    r"(?:domain of |from |return |unroutable |originator )sender|sender(?:'s)? (?:domain|address)|"
    r"mail from|from address|preferences|refused due to|not verified|verification|unverifiable|"
    r"\b(?:from|to|subject|date|message-id) header|headers? (?:is |was )?(?:missing|invalid)|\brfc ?-?(?:2|"
    r"5[36])[28]2[12]\b|"
    r"client host|your ip|client ip|ip (?:address )?\S+ (?:is|has|was)|bad (?:helo|ehlo|sender)|helo|not a"
    r" member|restricted|only accepts|private|greylist"
)
_NETWORK: Final = _any(
    r"expired|time[d ]?[- ]?out|timeout|could not deliver for|in the queue too long|too long in|retry time|"
    r"no route to host|connection (?:refused|reset|closed|lost|dropped|failed)|requests to connect|too many hops|"
    r"hop count|mail loop|loops? back|loop detected|network (?:error|is unreachable)|unreachable|deferred|"
    r"temporar|try again later|not found, try again|lost connection|establish an? smtp connection|"
    r"unable to connect|gave up|giving up after|"
    r"name server.{0,30}(?:failure|timeout|reply)|malformed or unexpected|server failure|wasn't able to establish"
)
_LISTED: Final = re.compile(r"spamhaus|spamcop|barracudacentral|sorbs|uribl|/rbl|postmaster\.live", re.IGNORECASE)
_MICROSOFTS_NOBODY: Final = re.compile(r"recipient address rejected: access denied", re.IGNORECASE)
_NOBODY_AS_POLICY: Final = (
    re.compile(r"mailbox unavailable \(-?\d+:\d+:-?\d+\)", re.IGNORECASE),  # Outlook
    re.compile(r"mailbox unavailable or access denied|not in my validrcptto list", re.IGNORECASE),  # QQ; qmail
)
_LEFT_OPEN: Final = frozenset({"7.0", "7.1"})
"""Reasons that mail servers also give with a sentence about an unknown user."""

_URL: Final = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"<?[^\s<>]{1,256}@[^\s<>,;:]{1,256}>?")


class About(StrEnum):
    """What a refusal is about."""

    NOBODY = "NOBODY"
    NO_HOST = "NO_HOST"
    FULL = "FULL"
    TOO_LARGE = "TOO_LARGE"
    SUSPENDED = "SUSPENDED"
    UNPROVEN = "UNPROVEN"
    POLICY = "POLICY"
    SENDER = "SENDER"
    WAY = "WAY"


def about(text: str, reasons: AbstractSet[str]) -> About | None:
    """Return what the words and the reasons beside them ("1.1") speak of; None when they say nothing that is known.

    Of two readings the milder is returned, save where a provider has one sentence for nobody that sounds like a policy.
    """
    bare = words_alone(text)
    if says_it_so(text, reasons):
        return About.NOBODY
    if "2.2" in reasons or _FULL.search(bare):
        return About.FULL
    if reasons & {"2.3", "3.4"} or _SIZE.search(bare):
        return About.TOO_LARGE
    if _UNPROVEN.search(bare):
        return About.UNPROVEN
    nobody = bool(_UNKNOWN_USER.search(bare) or _MOVED.search(bare))
    by_code = {reason for reason in reasons if reason.startswith(("7.", "6."))}
    if _POLICY.search(bare) or _LISTED.search(text) or (by_code and not (nobody and by_code <= _LEFT_OPEN)):
        return About.POLICY
    if _SUSPENDED.search(bare):
        return About.SUSPENDED
    if reasons & {"1.7", "1.8"}:
        return About.SENDER
    way = bool(_NETWORK.search(bare))
    if (_UNKNOWN_HOST.search(bare) or _TAKES_NO_MAIL.search(bare)) and not way:
        return About.NO_HOST
    if nobody:
        return About.NOBODY
    return About.WAY if way else None


def is_sure(text: str) -> bool:
    """Whether the words can be about nothing but an account that does not exist, whichever command they answered."""
    return bool(_SURE_USER.search(words_alone(text)))


def says_it_so(text: str, reasons: AbstractSet[str]) -> bool:
    """Whether it is a provider's sentence for an unknown user that sounds like something else."""
    if "4.1" in reasons and _MICROSOFTS_NOBODY.search(text):  # Postfix says it of a policy, with 5.7.1
        return True
    return any(pattern.search(text) for pattern in _NOBODY_AS_POLICY)


def words_alone(text: str) -> str:
    """Return the text without the links and addresses in it, whose words mean nothing."""
    return _ADDRESS.sub(" <> ", without_links(text))


def without_links(text: str) -> str:
    return _URL.sub(" ", text)
