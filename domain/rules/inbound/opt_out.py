"""Whether someone asks in words not to be written to any more, in many languages.

Only what the person wrote counts, never what they quote. A request that holds for a while, that is about something
else, or that is negated is an ordinary reply: the sequence stops on it all the same, and nobody is suppressed.

Source: product.md section 2 (opt-out by text).
"""

import re
from typing import Final

_LOOKED_AT: Final = 1_000
_SHORT: Final = 40

# The whole of a short message.
_WORD: Final = re.compile(
    r"^\W*(?:please |pls |bitte |s'il vous plaît |por favor |per favore )?(?:unsubscribe(?: me)?|unsub|stop(?:"
    r" it| this| please|"
    r" e?-?mail(?:s|ing)?)?|remove(?: me)?|opt[ -]?out|cancel subscription|take me off|abmelden|austragen|abbestellen|"
    r"désabonne[rz]|désinscri\w+|stopp|baja|darme de baja|cancelar suscripción|disiscri\w+|cancellami|cancellazione|"
    r"descadastrar|remover|uitschrijven|afmelden|avregistrera|avsluta|afmeld|meld (?:meg )?av|peruuta tilaus|wypisz|"
    r"odhlásit|отписаться|отпишите|стоп|leiratkozás|dezabonare|abonelikten çık|配信停止|退订|取消订阅|수신거부)"
    r"(?: please| bitte| thanks| thank you| danke| merci| gracias)?\W*$",
    re.IGNORECASE,
)
_REQUESTS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:please |kindly |pls )unsubscribe\b(?! rate)",
        r"\bunsubscribe (?:me|us|my|this|from)\b",
        r"\b(?:remove|delete|take|scrub|strike) (?:me|us|my (?:name|e-?mail|address|data|details|"
        r"contact\w*)[^.!?\n]{0,30}?) ?"
        r"(?:off|from|out of) (?:of )?(?:your|this|the|any|all|future|these)? ?(?:e?-?mail\w*|mailing|contact|"
        r"distribution|"
        r"marketing|database|data ?base|list|lists|system|records|crm|sequence|campaign|outreach|communication\w*)",
        r"^\W*(?:please |pls |kindly )?(?:remove|delete) (?:me|my (?:e-?mail|address|data|details|contact\w*)(?:"
        r" address)?)\W*$",
        r"\b(?:take|get) me off\b[^.!?\n]{0,40}\blist",
        r"\b(?:please |kindly |pls )?stop (?:e-?mailing|mailing|contacting|messaging|writing|spamming|bothering|"
        r"sending (?:me|us|these|this|any|more|e-?mails)|texting|harassing|reaching out)\b(?! (?:until|till|for"
        r" now|before))",
        r"\b(?:do not|don'?t|never|please no(?:t)?(?: to)?) (?:ever )?(?:e-?mail|contact|write(?: to)?|message|"
        r"text|send|bother|"
        r"reach out to|approach) (?:me |us |this (?:e-?mail )?address |any ?(?:thing|more)? ?)?(?:any ?(?:more|"
        r"longer|further)|again|ever|"
        r"in (?:the )?future)",
        r"\b(?:do not|don'?t) (?:e-?mail|contact|write(?: to)?|message|text) (?:me|us|this address)\W*$",
        r"\bno (?:more|further) (?:e-?mails?|mails?|messages|contact|communication)\b(?! until| before)",
        r"\b(?:want|wish|like|need) to (?:be removed|unsubscribe|opt[ -]out|be taken off)\b",
        r"\b(?:please )?opt me out\b|\bi(?:'d like to| want to| wish to|'m going to)? opt(?:ing)? out\b",
        r"\bdo(?:es)? ?n[o']t (?:want|wish|like) to (?:receive|get|be (?:contacted|e-?mailed))\b[^.!?\n]{0,40}"
        r"(?:any ?more|any ?longer|again|e?-?mails?|messages|from you)",
        r"\bno longer (?:want|wish)\w* to (?:receive|be contacted|hear)",
        r"\bcease (?:and desist|all (?:contact|communication))",
        r"\b(?:schreib\w*|kontaktier\w*|mail\w*|sende\w*|schick\w*|belästig\w*) sie (?:mir|mich|uns) (?:bitte )?"
        r"(?:nicht|nie|keine)"
        r"[^.!?\n]{0,30}\b(?:mehr|wieder|weiteren)",
        r"\bbitte (?:mich |mir |uns )?(?:nicht|nie|keine)[^.!?\n]{0,40}\b(?:mehr|wieder|weiteren)\b[^.!?\n]{0,30}",
        r"\bkeine (?:weiteren |weitere )?(?:e-?)?(?:mails?|nachrichten|anfragen|kontaktaufnahme|"
        r"werbung)\b[^.!?\n]{0,20}"
        r"(?:\bmehr\b|bitte|$)",
        r"\b(?:aus|von) (?:ihrem|ihrer|dem|der|eurem|eurer|deinem)[^.!?\n]{0,20}(?:verteiler|liste|datenbank|"
        r"mailingliste)"
        r"[^.!?\n]{0,20}(?:nehmen|streichen|löschen|entfernen|austragen)?",
        r"\b(?:löschen|entfernen|streichen) sie (?:bitte )?(?:mich|mein\w*|uns)",
        r"\b(?:tragen|melden) sie (?:mich|uns) (?:bitte )?(?:aus|ab)\b|\bmich (?:bitte )?(?:abmelden|austragen|"
        r"löschen)\b",
        r"\b(?:möchte|wünsche|will|wollen|möchten) (?:\w+ ){0,3}(?:keine|nicht)[^.!?\n]{0,40}(?:mehr|"
        r"weiteren?)[^.!?\n]{0,30}"
        r"(?:mails?|nachrichten|kontaktiert|erhalten|bekommen|werbung)",
        r"\bunterlassen sie\b",
        r"\bne plus (?:me |m'|nous |recevoir|être (?:contact|sollicit|relanc))[^.!?\n]{0,40}",
        r"\bne (?:me |nous )?(?:contactez|écrivez|envoyez|sollicitez|relancez) (?:plus|pas)\b|\bne m'(?:écrivez|"
        r"envoyez) (?:plus|pas)\b",
        r"\b(?:me |m'|se )?(?:désinscri\w+|désabonn\w+)\b",
        r"\b(?:retire[rz]|supprime[rz]|enleve[rz]|enlève[rz]?)[- ](?:moi|nous|mon|mes|mon adresse)\b",
        r"\bne (?:souhaite|veux|désire) (?:plus|pas) (?:recevoir|être (?:contacté|sollicité|relancé))",
        r"\b(?:dar(?:me|se)?|d[aeé]n?me|solicito)[^.!?\n]{0,12}\bbaja\b",
        r"\bno (?:me |nos )?(?:contact\w+|escrib\w+|env[ií]\w+|mand\w+|molest\w+)[^.!?\n]{0,30}(?:m[aá]s|nunca)\b",
        r"\bno (?:quiero|deseo) (?:recibir|que me)[^.!?\n]{0,50}",
        r"\b(?:elim[ií]n\w+|borr\w+|qu[ií]t\w+|s[aá]q\w+)(?:me| mis datos| mi (?:correo|email|direcci[oó]n))\b",
        r"\bnon (?:mi |ci )?(?:contatt\w+|scriv\w+|invi\w+|mand\w+)[^.!?\n]{0,30}\bpi[uù]\b",
        r"\bnon (?:desidero|voglio)(?: pi[uù])? (?:ricevere|essere contattat\w)",
        r"\b(?:rimuov\w+|cancell\w+|elimin\w+|tog\w+)(?:mi| il mio| i miei| la mia)\b",
        r"\bn[aã]o (?:me |nos )?(?:contat\w+|contact\w+|escrev\w+|envi\w+|mand\w+)[^.!?\n]{0,30}\bmais\b",
        r"\bn[aã]o (?:quero|desejo)(?: mais)? (?:receber|ser contat\w+)",
        r"\b(?:remov\w+|retir\w+|exclu\w+|tir\w+)(?:-me| meu (?:e-?mail|nome|contato)| meus dados)\b|\bme "
        r"(?:remova|retire|descadastre)\b",
        r"\bdescadastr\w+",
        r"\b(?:schrijf|meld) (?:mij|me|ons) (?:alstublieft |aub )?(?:uit|af)\b|\bverwijder (?:mij|me|mijn)\b",
        r"\b(?:graag|gelieve|verzoek|wil(?: ik)?) (?:mij |me |ons )?(?:uit te |af te |uit|af)(?:schrijven|melden)\b",
        r"\b(?:niet|nooit|geen)[^.!?\n]{0,30}\bmeer\b[^.!?\n]{0,20}\b(?:mailen|contacteren|benaderen|schrijven|"
        r"ontvangen|sturen|e?-?mails?)",
        r"\b(?:geen|niet)\b[^.!?\n]{0,20}\b(?:mails?|berichten)\b[^.!?\n]{0,12}\bmeer\b",
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
# What takes a request back: it holds for now only, or is about something else, or says the opposite.
_NOT_A_REQUEST: Final = re.compile(
    r"\b(?:until|till|before|for now|right now|at the moment|today|this week|while|so soon|yet)\b|"
    r"\b(?:bis|vor|im moment|zurzeit|derzeit|heute|diese woche|solange)\b|\b(?:avant|jusqu|pour l'instant|en ce"
    r" moment)|"
    r"\b(?:antes de|hasta|por ahora|de momento|fino a|prima del|per ora|por enquanto|até)\b|\b(?:voor nu|tot)\b|\bдо\b|"
    r"\b(?:don'?t|do not|didn'?t|never|not) (?:want to |wish to |asked? to )?(?:unsubscribe|opt|remove|be"
    r" removed|stop)\b|"
    r"\b(?:meeting|invite|calendar|thread|cc|loop|role|shortlist|from the call|whatsapp|linkedin)\b|"
    r"\b(?:how|why|whether|if) (?:\w+ ){0,3}(?:unsubscribe|opt out)|unsubscribe (?:rate|link|button|header)|stop by\b|"
    r"\bnicht (?:abmelden|austragen|löschen)\b|don'?t stop|hesitate|zögern|hésitez|dude en|esiti",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def asks_to_stop(subject: str, said: str) -> bool:
    """Whether a person asks not to be written to any more. `said` is the text without quotes and signature."""
    text = said.strip()[:_LOOKED_AT]
    if is_request_by_subject(subject) and (not text or len(text) < 400):
        return True
    first_line = text.split("\n", 1)[0].strip()
    if len(first_line) <= _SHORT and _WORD.match(first_line):
        return True
    sentences = [sentence for sentence in _SENTENCE.split(text.replace("’", "'")) if sentence and sentence.strip()]
    return any(
        pattern.search(sentence)
        for sentence in sentences
        if not _NOT_A_REQUEST.search(sentence)
        for pattern in _REQUESTS
    )


def is_request_by_subject(subject: str) -> bool:
    """Whether a mail program wrote it for someone who pressed "unsubscribe" (RFC 2369 by mail)."""
    return bool(re.match(r"^\W*unsubscribe\b\W*[\w.:-]{0,80}\W*$", subject.strip(), re.IGNORECASE))
