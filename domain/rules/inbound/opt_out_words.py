"""The words in which people ask not to be written to any more: a word that stands alone, and requests, by language.

A pattern is looked for in one clause or sentence. It names who asks, what for and of whom, so that another request
(to call later, to take a slot off a list, to delete an old CV) does not meet it.

Source: product.md section 2 (opt-out by text).
"""

import re
from typing import Final

# The whole of a short message.
WORD: Final = re.compile(
    r"^\W*(?:please |pls |bitte |s'il vous plaît |por favor |per favore )?(?:unsubscribe(?: me)?|unsub|stop(?:"
    r" it| this| please|"
    r" e?-?mail(?:s|ing)?)?|remove(?: me)?|opt[ -]?out|cancel subscription|take me off|abmelden|austragen|abbestellen|"
    r"löschen|"
    r"désabonne[rz]|désinscri\w+|stopp|baja|darme de baja|cancelar suscripción|disiscri\w+|cancellami|cancellazione|"
    r"descadastrar|remover|uitschrijven|afmelden|avregistrera|avsluta|afmeld|meld (?:meg )?av|peruuta tilaus|wypisz|"
    r"odhlásit|отписаться|отпишите|стоп|leiratkozás|dezabonare|abonelikten çık|配信停止|退订|取消订阅|수신거부)"
    r"(?: please| bitte| thanks| thank you| danke| merci| gracias)?\W*$",
    re.IGNORECASE,
)
_DE_WRITE: Final = (
    r"(?:schreib|kontaktier|mailen\b|\bmail|belästig|anschreib|angeschrieben|behellig|kontakt|nachricht|werbung|"
    r"anfrage|newsletter|"
    r"\bmelden\b)"
)
_DE_REMOVE: Final = r"\b(?:nehm\w*|nimm|streich\w*|lösch\w*|entfern\w*|austragen|trag\w*)\b"
_DE_LIST: Final = r"(?:[\w-]+ )?[\w-]*(?:verteiler|listen?|datenbank|kartei|system|bestand)\b"
_DE_DATA: Final = r"(?:[\w-]+en )?(?:[\w-]*daten|(?:e-?)?(?:mail-?)?adresse|namen?|datensatz)\b"
_FR_WRITE: Final = r"(?:contact|écri[rv]|envoy|sollicit|relanc|démarch|spam|harcel|importun|dérang|mail)\w*?"
_FR_REMOVE: Final = r"\b(?:retire[rz]|supprime[rz]|enleve[rz]|enlève[rz]?|efface[rz]|raye[rz]|radie[rz])\b"
_FR_DATA: Final = r"(?:données|coordonnées|informations|nom|adresse|e?-?mail|contact)\b"
_ES_MAIL: Final = r"(?:correos?|e?-?mails?|mensajes?|publicidad|comunicaciones|nada)\b"
_IT_DATA: Final = r"(?:dati|nome|nominativo|indirizzo|e?-?mail|contatt[oi])\b"
_NL_DATA: Final = r"(?:gegevens|data|naam|adres|mailadres|e-?mail\w*)\b"


def _all_of(*parts: str) -> str:
    """Return a pattern of one clause that holds all of the parts, in whatever order."""
    return "^" + "".join(f"(?=.*?{part})" for part in parts)


REQUESTS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:please |kindly |pls )unsubscribe\b(?! rate)",
        r"\bunsubscribe (?:me|us|my|this|from)\b",
        r"\b(?:remove|delete|take|scrub|strike) (?:me|us|my (?:name|e-?mail|address|data|details|"
        r"contact\w*)[^.!?\n]{0,30}?) ?"
        r"(?:off|from|out of) (?:of )?(?:your|this|the|any|all|future|these)? ?(?:e?-?mail\w*|mailing|contact|"
        r"distribution|"
        r"marketing|database|data ?base|list|lists|system|records|crm|sequence|campaign|outreach|communication\w*)",
        r"\b(?:delete|erase|remove|wipe|destroy) (?:all |any |of )*my (?:personal |contact )*(?:data|details|"
        r"information|records?)\b",
        r"\b(?:delete|erase|remove|wipe|destroy)\b[^.!?\n]{0,40}\ball (?:of )?(?:my|the) (?:personal )?(?:data|details|"
        r"information)\b",
        r"\b(?:erasure|deletion|removal) of (?:all |any )*(?:of )?(?:my|the|data|information|details)\b[^.!?\n]{0,40}"
        r"\b(?:data|details|information|about me|on me)\b",
        r"^\W*(?:please |pls |kindly )?(?:remove|delete) (?:me|my (?:e-?mail|address|data|details|contact\w*)(?:"
        r" address)?)\W*$",
        r"\b(?:take|get) me off\b[^.!?\n]{0,40}\blist",
        r"\b(?:please |kindly |pls )?stop (?:e-?mailing|mailing|contacting|messaging|writing|spamming|bothering|"
        r"sending (?:me|us|these|this|any|more|e-?mails)|texting|harassing|reaching out)\b(?! (?:until|till|for"
        r" now|before))",
        r"\b(?:do not|don'?t|never|please no(?:t)?(?: to)?) (?:ever )?(?:e-?mail|contact|write(?: to)?|message|"
        r"text|send|bother|"
        r"reach out to|approach|follow up(?: with)?) (?:me |us |this (?:e-?mail )?address |any ?(?:thing|"
        r"more)? ?)?(?:any ?(?:more|"
        r"longer|further)|again|ever|"
        r"in (?:the )?future)",
        r"\b(?:do not|don'?t) (?:e-?mail|contact|write(?: to)?|message|text) (?:me|us|this address)\W*$",
        r"\bno (?:more|further) (?:e-?mails?|mails?|messages|contact|communication)\b"
        r"(?! until| before| (?:are |is |will be )?(?:needed|necessary|required))",
        r"\b(?:want|wish|like|need) to (?:be removed|unsubscribe|opt[ -]out|be taken off)\b",
        r"\b(?:please )?opt me out\b|\bi(?:'d like to| want to| wish to|'m going to)? opt(?:ing)? out\b",
        r"\bdo(?:es)? ?n[o']t (?:want|wish|like) to (?:receive|get|be (?:contacted|e-?mailed))\b[^.!?\n]{0,40}"
        r"(?:any ?more|any ?longer|again|e?-?mails?|messages|from you)",
        r"\brather not (?:receive|get|be (?:contacted|e-?mailed))\b[^.!?\n]{0,20}(?:any ?more|again|e?-?mails?|"
        r"messages?)",
        r"\bno longer (?:want|wish)\w* to (?:receive|be contacted|hear)",
        r"\bcease (?:and desist|all (?:contact|communication))",
        # German
        _all_of(r"\b(?:nicht|nie|niemals|keine[nr]?)\b", r"\b(?:mehr|wieder|weitere\w*)\b", r"\bbitte\b", _DE_WRITE),
        _all_of(
            r"\b(?:schreib\w*|kontaktier\w*|mail\w*|belästig\w*|schick\w*|send\w*) (?:sie |mir |mich |uns |bitte ){1,4}"
            r"(?:[^.!?\n]{0,20} )?(?:nicht|nie|niemals|keine)\b[^.!?\n]{0,30}\b(?:mehr|wieder|weitere\w*)\b",
            _DE_WRITE,
        ),
        r"\bkeine (?:weiteren |weitere )?(?:e-?)?(?:mails?|nachrichten|anfragen|kontaktaufnahme|"
        r"werbung)\b[^.!?\n]{0,20}"
        r"(?:\bmehr\b|bitte|$)",
        _all_of(_DE_REMOVE, r"\b(?:mich|uns|mein\w*|diese \S*adresse)\b", rf"\b(?:aus|von) \w+ {_DE_LIST}"),
        rf"^\W*(?:bitte )?(?:aus|von) \w+ {_DE_LIST} (?:nehmen|streichen|löschen|entfernen|austragen)",
        _all_of(r"\b(?:lösch\w*|entfern\w*|streich\w*)\b", rf"\b(?:mein\w*|unsere?) {_DE_DATA}"),
        r"\b(?:löschen|entfernen|streichen) sie (?:bitte )?(?:mich|uns)\b(?! (?:von|aus) (?!ihr|eur|allen))",
        r"\b(?:hör\w*|hoer\w*)\b[^!?\n]{0,25}\bauf\b[^!?\n]{0,15}\b(?:mir|mich|uns)\b[^!?\n]{0,20}"
        r"(?:schreib|kontaktier|mail|belästig|schick|send)",
        r"\bwiderspr[eu]ch\w*\b[^.!?\n]{0,30}\b(?:nutzung|verarbeitung|verwendung|speicherung)\b",
        r"\b(?:tragen|melden) sie (?:mich|uns) (?:bitte )?(?:aus|ab)\b|\bmich (?:bitte )?(?:abmelden|austragen|"
        r"löschen)\b",
        r"\b(?:möchte|wünsche|will|wollen|möchten) (?:\w+ ){0,3}(?:keine|nicht)[^.!?\n]{0,40}(?:mehr|"
        r"weiteren?)[^.!?\n]{0,30}"
        r"(?:mails?|nachrichten|kontaktiert|erhalten|bekommen|werbung)",
        r"\bunterlassen sie\b",
        # French
        rf"\bne plus (?:(?:me |m'|nous |jamais )*{_FR_WRITE}|recevoir\b|être (?:contact|sollicit|relanc|démarch))",
        rf"\bne (?:me |nous |m')?{_FR_WRITE}ez (?:plus|pas|jamais)\b",
        r"\b(?<!suis )(?:désinscri(?:re|ve[zs]?|s)|désabonne[rzs]?)\b",
        r"\b(?:retire[rz]|supprime[rz]|enleve[rz]|enlève[rz]?|efface[rz])[- ](?:moi|nous)\b",
        _all_of(_FR_REMOVE, rf"\b(?:mes|mon|ma|nos) {_FR_DATA}"),
        _all_of(
            _FR_REMOVE,
            r"\b(?:me|moi|nous|mes|mon)\b|\bm'",
            r"\bd(?:e|es)\b[^.!?\n]{0,20}\b(?:listes?|bases?|fichiers?|diffusion|envois|contacts|mailing|crm|"
            r"registres?)\b",
        ),
        rf"\b(?:arrête[zr]?|cesse[zr]?)\b[^.!?\n]{{0,12}}\bd(?:e |')(?:me |m'|nous )?{_FR_WRITE}",
        r"\bne (?:souhaite|veux|désire)\w* plus (?:recevoir|être (?:contacté|sollicité|relancé))",
        r"\bne (?:souhaite|veux|désire)\w* pas (?:être (?:contacté|sollicité|relancé)|recevoir[^.!?\n]{0,20}\b"
        r"(?:e?-?mails?|messages?|courriels?|courriers?|sollicitations?|publicités?|newsletter))",
        # Spanish
        r"\b(?:deje\w*|deja|dejad|pare[ns]?|para|cese[ns]?) (?:ya )?de "
        r"(?:enviar|escribir|mandar|contactar|molestar)\w*",
        r"\b(?:dar(?:me|se)?|d[aeé]n?me|solicito)[^.!?\n]{0,12}\bbaja\b",
        r"\bno (?:me |nos )?(?:vuelva\w* a )?(?:contact\w+|escrib\w+|molest\w+)[^.!?\n]{0,30}\b(?:m[aá]s|nunca)\b",
        r"\bno (?:me |nos )?vuelva[ns]? a (?:contact|escrib|molest|enviar|mandar)",
        rf"\bno (?:me |nos )?(?:env[ií]\w+|mand\w+) (?:m[aá]s(?: {_ES_MAIL}|\W*$)|(?:ningún )?{_ES_MAIL}"
        r"[^.!?\n]{0,12}\bm[aá]s\b)",
        rf"\bno (?:quiero|deseo) (?:(?:volver a )?recibir[^.!?\n]{{0,20}}{_ES_MAIL}|recibir (?:nada )?m[aá]s|"
        r"(?:que me|ser) (?:contact|escrib|env|mand|molest))",
        r"\b(?:elim[ií]n\w+|borr\w+|qu[ií]t\w+|s[aá]q\w+|suprim\w+)(?:me\b| (?:todos )?mis datos| mi (?:correo|email|"
        r"direcci[oó]n|nombre)\b)",
        # Italian and the others
        r"\bnon (?:mi |ci )?(?:contatt\w+|scriv\w+|invi\w+|mand\w+)[^.!?\n]{0,30}\bpi[uù]\b",
        r"\bnon (?:desidero|voglio) pi[uù] (?:ricevere|essere contattat\w)",
        r"\bnon (?:desidero|voglio) (?:essere contattat\w|ricevere[^.!?\n]{0,20}\b(?:e?-?mail|messaggi|"
        r"comunicazioni))\b",
        rf"\b(?:rimuov|cancell|elimin|tog)\w*(?:mi\b|temi\b| (?:tutti )?(?:il mio|i miei|la mia) {_IT_DATA})",
        rf"\b(?:cancellazione|rimozione|eliminazione) (?:di tutti i|dei|del|di) (?:miei|mio) {_IT_DATA}",
        r"\b(?:smett\w+|smetter\w*|cess\w+) di (?:scriver|contattar|mandar|inviar|disturbar)\w*",
        r"\bn[aã]o (?:me |nos )?(?:contat\w+|contact\w+|escrev\w+|envi\w+|mand\w+)[^.!?\n]{0,30}\bmais\b",
        r"\bn[aã]o (?:quero|desejo)(?: mais)? (?:receber|ser contat\w+)",
        r"\b(?:remov\w+|retir\w+|exclu\w+|tir\w+)(?:-me| meu (?:e-?mail|nome|contato)| meus dados)\b|\bme "
        r"(?:remova|retire|descadastre)\b",
        r"\bdescadastr\w+",
        r"\b(?:schrijf|meld) (?:mij|me|ons) (?:alstublieft |aub )?(?:uit|af)\b|\bverwijder (?:mij|me)\b",
        _all_of(r"\b(?:verwijder\w*|wis|wissen|schrap\w*)\b", rf"\bmijn (?:\w+e )?{_NL_DATA}"),
        _all_of(
            r"\b(?:ver)?(?:wijder\w*|haal|haalt|halen|schrap\w*|gooi\w*)\b",
            r"\b(?:mij|me|mijn|ons)\b",
            r"\b(?:van|uit) (?:de|het|uw|je|jullie|deze)\b[^.!?\n]{0,20}(?:lijst\w*|bestand\w*|database|systeem)\b",
        ),
        r"\bstop\w* (?:alstublieft |aub )?met (?:het )?(?:sturen|schrijven|contact\w*|e?-?mail\w*|spammen|benaderen)",
        r"\b(?:graag|gelieve|verzoek|wil(?: ik)?) (?:mij |me |ons )?(?:uit te |af te |uit|af)(?:schrijven|melden)\b",
        r"\b(?:niet|nooit|geen)[^.!?\n]{0,30}\bmeer\b[^.!?\n]{0,20}\b(?:mailen|contacteren|benaderen|schrijven|"
        r"ontvangen|sturen|e?-?mails?)",
        r"\b(?:geen|niet)\b[^.!?\n]{0,20}\b(?:mails?|berichten|contact)\b[^.!?\n]{0,12}\bmeer\b",
        r"\b(?:ta|tag|fjern|fjerne|slett) (?:bort )?(?:mig|meg|min (?:e-?post|adresse?)|mina uppgifter)\b",
        r"\b(?:kontakta|mejla|maila|kontakt|skriv)\w*(?: ikke| inte| till mig inte| mig inte| meg ikke| mig ikke|"
        r" ikke mig| ikke meg)\b"
        r"[^.!?\n]{0,15}(?:igen|mer|mere|lenger|længere)?",
        r"\b(?:avregistrera|avanmäl|afmeld|avmeld|meld) (?:mig|meg)\b",
        r"\bälkää (?:ottako|lähettäkö)|\bpoistakaa (?:minut|osoitteeni|tietoni)",
        r"\b(?:prosz[eę] )?(?:o )?(?:wypisa\w+|usuni\w+|wykre[sś]l\w+)[^.!?\n]{0,30}(?:mnie|mojego|moich|z "
        r"(?:listy|bazy))",
        r"\b(?:prosz[eę] )?(?:nie|wi[eę]cej nie)[^.!?\n]{0,12}(?:kontaktowa\w+|pisa\w+|wysy[lł]a\w+)[^.!?\n]{0,30}",
        r"\b(?:odhlaste|vyřaďte|vymažte) m[eě]\b|\b(?:už )?(?:mě |mi )(?:nekontaktujte|nepište|neposílejte)\b",
        r"\bне (?:пишите|присылайте|беспокойте|отправляйте)\b(?! до)|\b(?:отпишите|удалите|исключите|уберите)(?:"
        r" меня| мой| мою| мои)\b",
        r"\bотписаться\b|\bбольше не (?:пишите|присылайте|хочу получать)",
        r"\b(?:törölj\w+|ne (?:írj\w+|küldj\w+|keress\w+))[^.!?\n]{0,30}(?:többet|listá|adat)?",
        r"\b(?:listenizden|listeden)[^.!?\n]{0,20}(?:çıkar|sil)|\bbana (?:bir daha )?(?:mail|"
        r"e-posta)[^.!?\n]{0,20}(?:göndermeyin|atmayın)",
        r"配信(?:を)?(?:停止|解除)|(?:今後|もう).{0,20}(?:送らないで|連絡しないで|不要です|お断り|ご遠慮|"
        r"メールは不要)|登録.{0,6}(?:解除|削除)",
        r"(?:不要|请勿|別|别|停止)再?(?:给我|向我)?(?:发|發|联系|聯繫|发送|寄)|(?:退订|取消订阅|从.{0,8}(?:名单|"
        r"列表).{0,4}(?:删除|移除))",
        r"(?:더 이상|다시는).{0,15}(?:보내지|연락하지)|수신 ?거부|구독 ?(?:취소|해지)",
    )
)
