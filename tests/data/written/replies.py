"""Replies of people, in the forms in which mail programs quote, and in circumstances that look like a machine's."""

import json
from pathlib import Path
from typing import NamedTuple

OURS = "Hi Peter,\n\nwe look for an engineer in your town. Shall we talk?\n\nBest regards\nMary"


class Reply(NamedTuple):
    name: str
    wrote: str  # what the person wrote, without quotes and signature
    raw: bytes


# how Outlook heads what it quotes: from, sent, to, subject
_OUTLOOK = {
    "en": ("From", "Sent", "To", "Subject", "Thursday, October 1, 2026 10:00 AM"),
    "de": ("Von", "Gesendet", "An", "Betreff", "Donnerstag, 1. Oktober 2026 10:00"),
    "fr": ("De", "Envoyé", "À", "Objet", "jeudi 1 octobre 2026 10:00"),
    "es": ("De", "Enviado", "Para", "Asunto", "jueves, 1 de octubre de 2026 10:00"),
    "it": ("Da", "Inviato", "A", "Oggetto", "giovedì 1 ottobre 2026 10:00"),
    "nl": ("Van", "Verzonden", "Aan", "Onderwerp", "donderdag 1 oktober 2026 10:00"),
    "pt": ("De", "Enviado", "Para", "Assunto", "quinta-feira, 1 de outubro de 2026 10:00"),
    "pl": ("Od", "Wysłano", "Do", "Temat", "czwartek, 1 października 2026 10:00"),
    "sv": ("Från", "Skickat", "Till", "Ämne", "den 1 oktober 2026 10:00"),
    "da": ("Fra", "Sendt", "Til", "Emne", "1. oktober 2026 10:00"),
    "fi": ("Lähettäjä", "Lähetetty", "Vastaanottaja", "Aihe", "torstai 1. lokakuuta 2026 10.00"),
    "cs": ("Od", "Odesláno", "Komu", "Předmět", "čtvrtek 1. října 2026 10:00"),
    "hu": ("Feladó", "Elküldve", "Címzett", "Tárgy", "2026. október 1., csütörtök 10:00"),
    "tr": ("Kimden", "Gönderildi", "Kime", "Konu", "1 Ekim 2026 Perşembe 10:00"),
    "ru": ("От", "Отправлено", "Кому", "Тема", "1 октября 2026 г. 10:00"),
    "ja": ("差出人", "送信日時", "宛先", "件名", "2026年10月1日木曜日 10:00"),
    "zh": ("发件人", "发送时间", "收件人", "主题", "2026年10月1日 10:00"),
}
_US = "Mary <jobs@sender.example>"
_GMAIL = {
    "en": f"On Thu, Oct 1, 2026 at 10:00 AM {_US} wrote:",
    "de": f"Am Do., 1. Okt. 2026 um 10:00 Uhr schrieb {_US}:",
    "fr": f"Le jeu. 1 oct. 2026 à 10:00, {_US} a écrit :",
    "es": "El jue, 1 oct 2026 a las 10:00, Mary (<jobs@sender.example>) escribió:",
    "it": f"Il giorno gio 1 ott 2026 alle ore 10:00 {_US} ha scritto:",
    "nl": f"Op do 1 okt 2026 om 10:00 schreef {_US}:",
    "pt": f"{_US} escreveu (quinta, 1/10/2026 à(s) 10:00):",
    "pl": f"czw., 1 paź 2026 o 10:00 {_US} napisał(a):",
    "sv": f"Den tors 1 okt. 2026 kl 10:00 skrev {_US}:",
    "da": f"Den tor. 1. okt. 2026 kl. 10.00 skrev {_US}:",
    "fi": f"to 1. lokak. 2026 klo 10.00 {_US} kirjoitti:",
    "cs": f"čt 1. 10. 2026 v 10:00 odesílatel {_US} napsal:",
    "hu": f"{_US} ezt írta (időpont: 2026. okt. 1., Cs, 10:00):",
    "tr": f"{_US}, 1 Eki 2026 Per, 10:00 tarihinde şunu yazdı:",
    "ru": f"чт, 1 окт. 2026 г. в 10:00, {_US}:",
    "ja": f"2026年10月1日(木) 10:00 {_US}:",
    "zh": f"{_US} 于2026年10月1日周四 10:00写道：",
}
_APPLE = {
    "en": f"On 1 Oct 2026, at 10:00, {_US} wrote:",
    "de": f"Am 01.10.2026 um 10:00 schrieb {_US}:",
    "fr": f"Le 1 oct. 2026 à 10:00, {_US} a écrit :",
    "es": f"El 1 oct 2026, a las 10:00, {_US} escribió:",
    "it": f"Il giorno 1 ott 2026, alle ore 10:00, {_US} ha scritto:",
    "nl": f"Op 1 okt. 2026 om 10:00 heeft {_US} het volgende geschreven:",
    "pt": f"No dia 1 de out. de 2026, às 10:00, {_US} escreveu:",
    "pl": f"Wiadomość napisana przez {_US} w dniu 1 paź 2026, o godz. 10:00:",
    "sv": f"1 okt. 2026 kl. 10:00 skrev {_US}:",
    "da": f"Den 1. okt. 2026 kl. 10.00 skrev {_US}:",
    "fi": f"{_US} kirjoitti 1.10.2026 kello 10.00:",
    "cs": f"1. 10. 2026 v 10:00, {_US}:",
    "hu": f"{_US} írta (2026. okt. 1. dátummal, 10:00 időpontban):",
    "tr": f"{_US} şunları yazdı (1 Eki 2026 10:00):",
    "ru": f"1 окт. 2026 г., в 10:00, {_US} написал(а):",
    "ja": f"2026/10/01 10:00、{_US}のメール:",
    "zh": f"在 2026年10月1日，10:00，{_US} 写道：",
}
_MOBILE = {
    "en": "Sent from my iPhone",
    "de": "Von meinem iPhone gesendet",
    "fr": "Envoyé de mon iPhone",
    "es": "Enviado desde mi iPhone",
    "it": "Inviato da iPhone",
    "nl": "Verstuurd vanaf mijn iPhone",
    "pt": "Enviado do meu iPhone",
    "pl": "Wysłane z iPhone'a",
    "sv": "Skickat från min iPhone",
    "da": "Sendt fra min iPhone",
    "fi": "Lähetetty iPhonesta",
    "cs": "Odesláno z iPhonu",
    "hu": "iPhone-ról küldve",
    "tr": "iPhone'umdan gönderildi",
    "ru": "Отправлено с iPhone",
    "ja": "iPhoneから送信",
    "zh": "发自我的iPhone",
}
_AW = {
    "de": "AW: ",
    "nl": "Antw: ",
    "sv": "SV: ",
    "da": "SV: ",
    "fi": "VS: ",
    "pl": "Odp: ",
    "tr": "YNT: ",
    "zh": "回复：",
}


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _outlook(language: str, wrote: str) -> str:
    sender, sent, to, subject, date = _OUTLOOK[language]
    return f"{wrote}\n\n{sender}: {_US}\n{sent}: {date}\n{to}: peter@people.example\n{subject}: Hello\n\n{OURS}\n"


def _outlook_web(language: str, wrote: str) -> str:
    top, _, below = _outlook(language, wrote).partition("\n\n" + _OUTLOOK[language][0] + ":")
    return f"{top}\n\n________________________________\n{_OUTLOOK[language][0]}:{below}"


def _gmail(language: str, wrote: str) -> str:
    return f"{wrote}\n\n{_GMAIL[language]}\n\n{_quoted(OURS)}\n"


def _gmail_wrapped(language: str, wrote: str) -> str:
    attribution = _GMAIL[language]
    at = attribution.rfind(" ", 0, attribution.index("<") + 1)
    return (
        f"{wrote}\n\n{attribution[:at]}\n{attribution[at + 1 :]}\n\n{_quoted(OURS)}\n"
        if at > 0
        else _gmail(language, wrote)
    )


def _apple(language: str, wrote: str) -> str:
    return f"{wrote}\n\n> {_APPLE[language]}\n> \n{_quoted(OURS)}\n"


def _iphone(language: str, wrote: str) -> str:
    return f"{wrote}\n\n{_MOBILE[language]}\n\n> {_APPLE[language]}\n> \n> \ufeff{OURS.splitlines()[0]}\n"


def _bottom(language: str, wrote: str) -> str:
    return f"{_GMAIL[language]}\n{_quoted(OURS)}\n\n{wrote}\n"


def _signed(language: str, wrote: str) -> str:
    return f"{wrote}\n\n-- \nPeter Smith\nAuto-Teile Smith GmbH\nAutomation & Out-of-home media\n\n{_GMAIL[language]}\n{_quoted(OURS)}\n"


def _bare(_: str, wrote: str) -> str:
    return f"{wrote}\n"


_FORMS = (_outlook, _gmail, _apple, _iphone, _bottom, _signed, _outlook_web, _gmail_wrapped, _bare)


def _mail(text: str, subject: str, headers: str = "") -> bytes:
    sender = "" if headers.startswith("From:") else "From: Peter Smith <peter@people.example>\n"
    return (
        f"{sender}{headers}To: jobs@sender.example\nSubject: {subject}\nMessage-ID: <r@people.example>\n"
        "In-Reply-To: <x@sender.example>\nReferences: <x@sender.example>\nDate: Thu, 1 Oct 2026 12:00:00 +0000\n"
        f"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}"
    ).encode()


def _forms() -> list[Reply]:
    replies, number = [], 0
    for line in (Path(__file__).parent / "replies.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        language, wrote = line.split("|", 1)
        wrote = wrote.replace("\\n", "\n")
        for _ in range(3):  # three of the forms in turn, so that over a language all of them come
            form = _FORMS[number % len(_FORMS)]
            number += 1
            subject = _AW.get(language, "Re: ") + "Hello"
            replies.append(Reply(f"{language}-{form.__name__}-{number}", wrote, _mail(form(language, wrote), subject)))
        number += 1
    return replies


INTERLEAVED = Reply(
    "interleaved",
    "Yes.\nMary, it is.\nIn June.",
    _mail(
        f"{_GMAIL['en']}\n\n> Are you looking?\n\nYes.\n\n> Is the place right?\n\nMary, it is.\n\n> When?\n\nIn June.\n",
        "Re: Hello",
    ),
)
FORMS = [*_forms(), INTERLEAVED]
HARD = [
    Reply(one["name"], one["text"], _mail(one["text"] + "\n", one["subject"], one["headers"]))
    for one in map(json.loads, (Path(__file__).parent / "hard_replies.jsonl").read_text().splitlines())
]
