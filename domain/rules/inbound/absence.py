"""Until when someone is away, as an absence note says it.

Read are dates that can mean one day only: ISO dates, dates with the name of the month in many languages, dotted dates
(day first wherever dots are used) and East Asian ones. A date with slashes is never guessed at: 03/04 is two days.

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
        rf"(?<![\d/.,-]){_DAY}\.\s?(?P<m>[01]?\d)\.(?!\d)",
        rf"(?<![\d/]){_DAY}(?:st|nd|rd|th|er|º|ª|°)?[.,]?\s*(?:of |de |di |d')?\s?(?P<n>{_NAME})\b\.?,?\s*(?:de |"
        rf"del )?{_YEAR}?",
        rf"\b(?P<n>{_NAME})\b\.?\s+(?:the )?{_DAY}(?:st|nd|rd|th)?(?![\d:.]\d)\b(?:,?\s+{_YEAR})?",
        rf"(?:{_YEAR}\s?[年년]\s?)?(?P<m>[01]?\d)\s?[月월]\s?{_DAY}\s?[日일]",
    )
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

    A day without a year is the next of its name after `sent_on`. None: no day is named that could be only one.
    """
    found = [
        day
        for sentence in _SENTENCE.split(text[:_LOOKED_AT])
        if sentence and _RETURNS.search(sentence)
        for day in _days(sentence, sent_on)
    ]
    ahead = [day for day in found if sent_on <= day <= sent_on + _AHEAD]
    return max(ahead, default=None)


def _days(sentence: str, sent_on: date) -> Iterator[date]:
    for pattern in _PATTERNS:
        for match in pattern.finditer(sentence):
            parts = match.groupdict()
            month = int(parts["m"]) if parts.get("m") else _MONTH_OF[parts["n"].lower()]
            yield from _day(parts.get("y"), month, int(parts["d"]), sent_on)


def _day(year: str | None, month: int, day: int, sent_on: date) -> Iterator[date]:
    try:
        if year:
            yield date(int(year), month, day)
            return
        this_year = date(sent_on.year, month, day)
        yield this_year if this_year >= sent_on else date(sent_on.year + 1, month, day)
    except ValueError:
        return
