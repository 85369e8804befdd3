"""Until when someone is away, as an absence note says it.

Read are dates that can mean one day only: ISO dates, dates with the name of the month in many languages, dotted dates
(day first wherever dots are used), East Asian ones, and dashed ones where they can mean one day only. A date with
slashes is never guessed at: 03/04 is two days. Of a range the end counts. Lines that a mail program wrapped are joined.

Source: product.md section 2 "Absence".
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from domain.rules.timing import Wait, WaitUnit, after_wait, instant_of

_UNSTATED: Final = timedelta(days=7)
_AHEAD: Final = timedelta(days=366)
_PAST: Final = timedelta(days=60)  # a day without a year that lies this near behind is not one of next year

_MONTHS: Final = {
    1: "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari janua januari tammikuu "
    "tammikuuta "
    "stycznia styczeń ledna leden января янв január ianuarie ocak januára siječnja sausio januára",
    2: "february feb februar feber février févr fevrier febrero febbraio fevereiro fev februari helmikuu helmikuuta "
    "lutego luty února únor февраля фев február februarie şubat veljače",
    3: "march mar märz maerz mrz mars marzo março marco maart maaliskuu maaliskuuta marca marzec března "
    "březen марта мар "
    "március martie mart ožujka",
    4: "april apr avril avr abril abr aprile huhtikuu huhtikuuta kwietnia kwiecień dubna duben апреля апр "
    "április aprilie "
    "nisan travnja apríla",
    5: "may mai mayo maggio mag maio mei maj toukokuu toukokuuta maja května květen мая май május mayıs svibnja mája",
    6: "june jun juni juin junio giugno giu junho kesäkuu kesäkuuta czerwca czerwiec června červen июня июн "
    "június iunie "
    "haziran lipnja júna",
    7: "july jul juli juillet juil julio luglio lug julho heinäkuu heinäkuuta lipca lipiec července červenec "
    "июля июл "
    "július iulie temmuz srpnja júla",
    8: "august aug août aout agosto ago augustus augusti elokuu elokuuta sierpnia sierpień srpna srpen августа авг "
    "augusztus ağustos kolovoza augusta",
    9: "september sep sept septembre septiembre settembre set setembro syyskuu syyskuuta września wrzesień "
    "září сентября "
    "сен сент szeptember septembrie eylül rujna septembra",
    10: "october oct oktober okt octobre octubre ottobre ott outubro out lokakuu lokakuuta października "
    "październik října "
    "říjen октября окт október octombrie ekim listopada októbra",
    11: "november nov novembre noviembre novembro marraskuu marraskuuta listopad ноября ноя noiembrie kasım "
    "studenoga "
    "novembra listopadu",
    12: "december dec dezember dez décembre déc decembre diciembre dic dicembre dezembro joulukuu joulukuuta grudnia "
    "grudzień prosince prosinec декабря дек decembrie aralık prosinca decembra",
}
_MONTH_OF: Final = {name: number for number, names in _MONTHS.items() for name in names.split()}
_NAME: Final = "|".join(sorted(map(re.escape, _MONTH_OF), key=len, reverse=True))
_YEAR: Final = r"(?P<y>20\d\d)"
_DAY: Final = r"(?P<d>[0-3]?\d)"
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\d/.-]){_YEAR}-(?P<m>[01]\d)-(?P<d>[0-3]\d)(?![\d/-])",
        rf"(?<![\d/.-]){_DAY}\.\s?(?P<m>[01]?\d)\.\s?{_YEAR}(?!\d)",
        rf"(?<![\d/.-]){_DAY}\.(?P<m>[01]?\d)\.(?P<y>[2-9]\d)(?![\d.:]|\s?(?:h|uhr)\b)",
        rf"(?<![\d/.-]){_DAY}(?P<dash>-)(?P<m>[01]?\d)-{_YEAR}(?![\d/-])",
        rf"\b(?P<n>{_NAME})\b\.?\s+[0-3]?\d\s?[-–—]\s?{_DAY}(?![\d:.]\d)\b(?:,?\s+{_YEAR})?",
        rf"(?<![\d/.,-]){_DAY}\.\s?(?P<m>[01]?\d)\.(?!\d)",
        rf"(?<![\d/]){_DAY}(?:st|nd|rd|th|er|º|ª|°)?[.,]?\s*(?:of |de |di |d')?\s?(?P<n>{_NAME})\b\.?,?\s*(?:de |"
        rf"del )?{_YEAR}?",
        rf"\b(?P<n>{_NAME})\b\.?\s+(?:the )?{_DAY}(?:st|nd|rd|th)?(?![\d:.]\d)\b(?:,?\s+{_YEAR})?",
        rf"(?:{_YEAR}\s?[年년]\s?)?(?P<m>[01]?\d)\s?[月월]\s?{_DAY}\s?[日일]",
    )
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
_COMES_BACK: Final = re.compile(
    r"(?<!get )(?<!come )\bback (?:on|at|in|from|by|\d|[A-Z])|\b(?:am|are|is|we're|I'm) back\b|\baway\b|"
    r"^\W*out (?:from|until|on|[A-Z]\w{2,8} \d)|\bclosed (?:from|until|for|between|on)\b|geschlossen|\burlaub\b|"
    r"\bferien\b|"
    r"\bferm[ée]\w* (?:du|jusqu|pour)|\bcerrad[oa]s? (?:del|hasta|por)|\bchius[oaie] (?:dal|fino|per)|\bgesloten\b|"
    r"\bwieder (?:erreichbar|da\b|im (?:büro|haus|dienst|einsatz)|für sie|an(?:wesend|sprechbar)|zurück)|"
    r"\bterug\b(?! ?(?:bellen|mailen))|\bweer (?:bereikbaar|aanwezig|beschikbaar)|"
    r"\b(?:à|de) nouveau (?:joignable|disponible)|"
    r"\bde vuelta\b|\bvuelvo\b|\bdi nuovo (?:disponibile|raggiungibile|in ufficio)",
    re.IGNORECASE,
)
_RETURNS: Final = re.compile(
    r"\b(?:back|return\w*|until|till?|through|thru|unti?l|available again|in the office|resume\w*|wieder|zurück\w*|bis|"
    r"ab dem|retour|jusqu|reviens|serai|hasta|vuelv\w+|vuelta|regres\w+|reincorpor\w+|incorpor\w+|fino|rientr\w+|"
    r"ritorn\w+|"
    r"sarò|até|retorn\w+|volt\w+|regresso|tot|terug|weer|t/m|t\.o\.m|till och med|åter\w*|tillbaka|tilbage|"
    r"tilbake|til|igen|"
    r"asti|saakka|palaan|takaisin|do|wracam|wrócę|powr\w+|zpět|návrat\w*|vr[áa]t\w+|до|по|вернусь|возвращ\w+|верн\w+|"
    r"vissza\w*|până|revin|kadar|döneceğim|endDate)\b|まで|より|戻|復帰|から|返回|回来|까지|복귀",
    re.IGNORECASE,
)
_TO: Final = (
    r"\s?(?:-|–|—|\b(?:to|through|thru|until|till|and|bis(?: zum)?|au|al|ao|a|tot(?: en met)?|til|do)\b|t/m)\s?"
    r"(?:(?:the|le|el|il|den|dem|o) )?(?:[^\W\d]{2,12}\.?,? )?"
)
_NUMBER: Final = r"\d{1,2}(?:st|nd|rd|th|er|º|°)?"
_RANGE: Final = re.compile(
    rf"\b(?:{_NAME})\b\.? {_NUMBER}(?:,? 20\d\d)?{_TO}(?:(?:{_NAME})\b\.? )?{_NUMBER}\b|"
    rf"(?<![\d/.-]){_NUMBER}\.?(?:\d{{1,2}}\.)?(?: (?:of |de |di )?(?:{_NAME})\b\.?)?,?(?: ?(?:de |del )?20\d\d)?"
    rf"{_TO}{_NUMBER}\.? ?(?:of |de |di )?(?:\d{{1,2}}\.|(?:{_NAME})\b)|\b20\d\d-\d\d-\d\d{_TO}20\d\d-",
    re.IGNORECASE,
)
_DAY_FIRST: Final = re.compile(r"\b(?:tot|t/m|terug|weer|afwezig|vakantie|vanaf)\b", re.IGNORECASE)
_OF_OTHER_THINGS: Final = re.compile(
    r"^\W*(?:our|the|your|these|unser\w*|die|der|das|ihr\w*|notre|nos|votre|les?|nuestr\w+|los|las|el|la|"
    r"i nostri|la nostra|onze|uw|het|early)\b",
    re.IGNORECASE,
)
_OF_ABSENCE: Final = re.compile(
    r"\b(?:I|I'm|I’m|me|my|we|ich|mich|wir|je|j'|nous|estar\w+|estoy|sono|sar[oò]|ik|wij|"
    r"offices?|team|clos\w+|shut|away|absen\w+|out|back|return\w*|"
    r"vacation|holidays?|leave|büros?|praxis|urlaub|ferien|geschlossen|abwesen\w+|zurück|bureaux?|ferm\w+|congés?|"
    r"vacances|oficina|cerrad\w+|vacaciones|ausen\w+|ufficio|uffici|chius\w+|ferie|assen\w+|kantoor|gesloten|"
    r"afwezig\w*|vakantie|terug)\b",
    re.IGNORECASE,
)
_NEVER_LAST: Final = re.compile(  # a line that ends so was broken by a mail program, however short
    r"(?:\b(?:on|to|until|till|from|of|the|and|am|ab|bis|zum|vom|und|den|dem|le|au|du|el|al|del|y|hasta|il|dal|fino|e|"
    r"op|tot|met|van|en|de|di)|,|\d)$",
    re.IGNORECASE,
)
_ENDS: Final = re.compile(r"[.!?。！？:;]$")
_WRAPPED_FROM: Final = 50  # letters: shorter lines were ended by who wrote them
_SENTENCE: Final = re.compile(r"(?<=[!?。\n])|(?<=[a-zà-žа-я]{2}\.)\s+(?=[A-ZÀ-ŽА-Я])")
_LOOKED_AT: Final = 3_000


def hold_until(returns_on: date | None, now: datetime, zone: ZoneInfo) -> datetime:
    """Return until when nothing automatic goes out: one business day after the stated return, seven days where none
    is stated."""
    if returns_on is None:
        return now + _UNSTATED
    return after_wait(instant_of(datetime.combine(returns_on, time.min), zone), Wait(1, WaitUnit.BUSINESS_DAYS), zone)


def absence_key(words: str, returns_on: date | None) -> str:
    """Return what two notes of one absence have in common: the stated return, or else their words."""
    told = returns_on.isoformat() if returns_on else " ".join(re.findall(r"[^\W\d_]+", words.lower()))
    return sha256(told.encode("utf-8", "replace")).hexdigest()[:32]


def return_date(text: str, sent_on: date) -> date | None:
    """Return the day that the text names as the return, or the last of the absence: the latest within a year.

    A day without a year is the one of its name that is nearest after `sent_on`, or has just passed. None: no day
    is named that could be only one.
    """
    found = [
        day
        for sentence in _SENTENCE.split(_unwrapped(text[:_LOOKED_AT]))
        if sentence and _states_return(sentence)
        for day in _days(sentence, sent_on)
    ]
    ahead = [day for day in found if sent_on <= day <= sent_on + _AHEAD]
    return max(ahead, default=None)


def speaks_of_absence(text: str) -> bool:
    """Whether the text of an automatic answer says that someone is away or comes back."""
    return bool(ABSENT.search(text) or _COMES_BACK.search(text))


def _unwrapped(text: str) -> str:
    joined = ""
    for line in text.split("\n"):
        before = joined.rpartition("\n")[2]
        goes_on = before and line.strip() and not _ENDS.search(before)
        if goes_on and (len(before) >= _WRAPPED_FROM or _NEVER_LAST.search(before)):
            joined = f"{joined} {line.strip()}"
        else:
            joined = f"{joined}\n{line.strip()}"
    return joined


def _states_return(sentence: str) -> bool:
    if not _RETURNS.search(sentence) and not _RANGE.search(sentence):
        return False
    return bool(not _OF_OTHER_THINGS.search(sentence) or _OF_ABSENCE.search(sentence))


def _days(sentence: str, sent_on: date) -> Iterator[date]:
    for pattern in _PATTERNS:
        for match in pattern.finditer(sentence):
            parts = match.groupdict()
            month = int(parts["m"]) if parts.get("m") else _MONTH_OF[parts["n"].lower()]
            if parts.get("dash") and int(parts["d"]) <= 12 and not _DAY_FIRST.search(sentence):
                continue  # month first or day first: it may be two days
            yield from _day(parts.get("y"), month, int(parts["d"]), sent_on)


def _day(year: str | None, month: int, day: int, sent_on: date) -> Iterator[date]:
    try:
        if year:
            yield date(int(year) + (2000 if len(year) == 2 else 0), month, day)
            return
        this_year = date(sent_on.year, month, day)
        if this_year - sent_on > _AHEAD - _PAST:  # told in January of a day in December
            return
        yield this_year if this_year >= sent_on - _PAST else date(sent_on.year + 1, month, day)
    except ValueError:
        return
