"""Automatic answers of many systems and languages, requests to stop, and the day someone is back."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain.rules.free_mail import is_free_mail
from domain.rules.inbound.absence import absence_key, hold_until, return_date
from domain.rules.inbound.opt_out import asks_to_stop
from domain.rules.inbound.reading import Classification, Reading, read
from tests.inbound.mails import letter

OURS = "<x@sender.example>"
DOVECOT = sorted((Path(__file__).parents[1] / "data" / "automatic").glob("*.eml"))

# What systems put into the head of an automatic answer; subject and text say nothing.
SYSTEMS: dict[str, dict[str, str]] = {
    "RFC 3834": {"Auto_Submitted": "auto-replied"},
    "RFC 3834, generated": {"Auto_Submitted": "auto-generated"},
    "RFC 3834, with a reason": {"Auto_Submitted": "auto-replied (zimbra; vacation)"},
    "Exchange": {"X_Auto_Response_Suppress": "All", "Auto_Submitted": "auto-generated"},
    "Exchange, rewritten on the way": {"X_Auto_Response_Suppress": "All"},
    "Exchange, inbox rule": {"X_MS_Exchange_Inbox_Rules_Loop": "p0@people.example"},
    "Gmail": {"X_Autoreply": "yes", "Precedence": "bulk"},
    "vacation(1)": {"Precedence": "junk"},
    "vacation, older": {"Precedence": "bulk", "X_Vacation": "1"},
    "qmail autorespond": {"X_Autorespond": "p0@people.example", "Precedence": "junk"},
    "cPanel": {"X_Autorespond": "p0@people.example", "Precedence": "auto_reply"},
    "Plesk": {"Precedence": "bulk", "X_Auto_Response": "yes"},
    "MDaemon": {"X_MDaemon_Autoresponder": "1"},
    "iCloud": {"X_Apple_Action": "VACATION"},
    "Postfix Admin": {"Precedence": "junk", "X_Loop": "Postfix Admin Virtual Vacation"},
    "null sender": {"Return_Path": "<>"},
    "FirstClass": {"X_FC_MachineGenerated": "true"},
    "OTRS": {"Precedence": "bulk", "X_OTRS_Loop": "support@people.example"},
    "Zendesk": {"Auto_Submitted": "auto-generated", "X_Mailer": "Zendesk Mailer"},
    "Freshdesk": {"X_Auto_Response_Suppress": "DR, RN, NRN, OOF, AutoReply, All"},
    "ezmlm": {"X_Ezmlm_Autoreply": "yes"},
    "mail program": {"X_Mailer": "vacation 1.2.7"},
    "nobody reads this": {"Reply_To": "noreply@people.example", "Auto_Submitted": "auto-notified"},
}

# Heads lost on the way: only the subject tells.
SUBJECTS = [
    "Automatic reply: Hello",
    "Auto: Hello",
    "Out of Office: Hello",
    "OOO until Monday",
    "Autoreply: Hello",
    "Auto-Reply: Re: Hello",
    "[Auto-Reply] Hello",
    "On vacation",
    "Away from my desk",
    "Ann Smith is out of the office",
    "Automatische Antwort: Hello",
    "Abwesenheitsnotiz: Hello",
    "Abwesenheit",
    "Anna Schmidt ist außer Haus.",
    "Nicht im Büro: Hello",
    "Eingangsbestätigung: Ihre Nachricht",
    "Réponse automatique : Hello",
    "Absence du bureau",
    "Absente jusqu'au 5 janvier",
    "Respuesta automática: Hello",
    "Fuera de la oficina",
    "Risposta automatica: Hello",
    "Fuori ufficio",
    "Resposta automática: Hello",
    "Ausência temporária",
    "Automatisch antwoord: Hello",
    "Afwezig tot 5 januari",
    "Automatiskt svar: Hello",
    "Autosvar: Hello",
    "Fraværende: Hello",
    "Automaattinen vastaus: Hello",
    "Automatyczna odpowiedź: Hello",
    "Automatická odpověď: Hello",
    "Automatikus válasz: Hello",
    "Răspuns automat: Hello",
    "Автоматический ответ: Hello",
    "Автоответ: Hello",
    "Автоматична відповідь: Hello",
    "Αυτόματη απάντηση: Hello",
    "Otomatik Yanıt: Hello",
    "自動応答: Hello",
    "自動返信：Hello",
    "自动回复: Hello",
    "자동 회신: Hello",
    "תשובה אוטומטית: Hello",
    "رد تلقائي: Hello",
]

PEOPLE = [
    ("Re: Hello", "Yes, gladly. Tuesday at ten?"),
    ("Re: Hello", "I'm out of the office until Monday, let's talk then!"),
    ("Re: Out of office hours", "That would work for me."),
    ("Re: Vacation policy", "Thanks, I will read it."),
    ("AW: Hallo", "Bin gerade im Urlaub, rufen Sie mich am Montag an?"),
    ("Re: Automation engineer", "Automatic testing is what I do. Send me the details."),
    ("Holiday plans and the role", "Hi, I am away next week but interested."),
    ("Re: Hello", "Could you reply to this address instead? The automatic forward is broken."),
    ("Autonomy at work", "What does the team look like?"),
    ("RE: Position", "No thank you, not interested."),
    ("Question", "Please do not hesitate to call."),
    ("Re: Hello", "Nein danke, kein Interesse."),
    ("Re: Hello", "Yes, happy to talk on Tuesday.\n\nThis email has been automatically scanned for viruses."),
    ("Re: Hello", "If you are not the intended recipient, please do not reply to this message. Tuesday works."),
    ("Re: Hello", "Sounds good.\n\nThis message was automatically scanned by a filter."),
    ("Re: Hello", "Dienstag passt.\n\nDiese Nachricht wurde automatisch auf Viren geprüft."),
    ("Re: Hello", "Tuesday works.\n\nThis e-mail was sent automatically encrypted."),
    ("Re: Hello", "No thanks.\n\nThis email was automatically generated by our CRM."),
    ("Re: Hello", "I assume this is an automated email, but yes, I'm interested"),
    ("Re: Hello", "Ceci est un message automatique ? Si non, rappelez-moi"),
    ("Re: Hello", "Your request was received by my colleague. Is Tuesday fine?"),
]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_machine_is_known_by_its_head(system: str) -> None:
    found = read(letter("Thank you for your message.", in_reply_to=OURS, subject="Hello", **SYSTEMS[system]))
    assert isinstance(found, Reading)
    assert found.classification is Classification.AUTOMATIC_ANSWER


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_machine_is_known_by_its_subject_in_many_languages(subject: str) -> None:
    found = read(letter("Merci, danke, thanks.", subject=subject))
    assert isinstance(found, Reading)
    assert found.classification is Classification.AUTOMATIC_ANSWER


@pytest.mark.parametrize("path", DOVECOT, ids=lambda path: path.name)
def test_notes_of_a_real_dovecot_are_absences_with_their_return(path: Path) -> None:
    found = read(path.read_bytes())
    assert isinstance(found, Reading)
    assert found.classification is Classification.AUTOMATIC_ANSWER
    assert found.away
    returns = return_date(found.away_words, date(2026, 11, 25))
    assert returns == (None if path.name == "dovecot-12.eml" else date(2026, 12, 7))


@pytest.mark.parametrize(("subject", "text"), PEOPLE)
def test_what_a_person_writes_is_a_reply(subject: str, text: str) -> None:
    found = read(letter(text, subject=subject, in_reply_to=OURS))
    assert isinstance(found, Reading)
    assert found.classification is Classification.HUMAN_REPLY


@pytest.mark.parametrize(
    "text",
    [
        "This is an automated response. We have received your message.",
        "Hello,\n\nthis is an automatic reply. I am away.",
        "Thank you for writing.\nWe answer within two days.\n\nOur hours: 9 to 5.\n\n"
        "This is an automatically generated message.",
        "Diese E-Mail wurde automatisch generiert. Bitte antworten Sie nicht darauf.",
    ],
)
def test_a_machine_is_known_by_what_it_says_of_itself(text: str) -> None:
    found = read(letter(text, subject="Hello", in_reply_to=OURS))
    assert isinstance(found, Reading)
    assert found.classification is Classification.AUTOMATIC_ANSWER


def test_a_read_receipt_is_neither_a_reply_nor_an_automatic_answer() -> None:
    raw = (
        b"From: p0@people.example\r\nSubject: Read: Hello\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nYour message was read.\r\n"
        b"--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        b"Original-Message-ID: <x@sender.example>\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n"
        b"--b--\r\n"
    )
    found = read(raw)
    assert isinstance(found, Reading)
    assert found.classification is Classification.NOTICE
    assert OURS in found.named


def test_a_mail_program_that_unsubscribes_by_mail_asks_to_stop() -> None:
    found = read(letter("This message was automatically generated by Apple Mail.", subject="unsubscribe"))
    assert isinstance(found, Reading)
    assert found.classification is Classification.OPT_OUT


ASKS = """remove me
Unsubscribe
please unsubscribe
Please remove me from your mailing list.
Hi, please take me off your list. Thanks, Ann
Stop emailing me!
STOP
Do not contact me again.
Please don't email me anymore
I do not wish to receive any more emails from you.
Please delete my data from your database
No more emails please
opt out
bitte nicht mehr schreiben
Bitte schreiben Sie mir nicht mehr.
Bitte keine weiteren Mails mehr.
Bitte löschen Sie mich aus Ihrem Verteiler
Ich möchte keine weiteren E-Mails erhalten.
Merci de ne plus me contacter
Veuillez me désinscrire de votre liste
Ne m'écrivez plus.
Je ne souhaite plus recevoir vos messages
Por favor, dame de baja
No me escriban más
No quiero recibir más correos
Non scrivetemi più
Per favore cancellatemi dalla lista
Não quero mais receber seus emails
Por favor, remova meu e-mail
Graag uitschrijven
Gelieve mij niet meer te contacteren
Ta bort mig från listan
Fjern mig fra listen
Proszę o usunięcie mnie z listy
Proszę więcej nie pisać
Пожалуйста, не пишите мне больше
Отпишите меня
今後メールは不要です
请不要再给我发邮件
Please remove me from your list, I am not looking for a new role.
Please remove me from your list today.
I asked you before: please remove me from your list.
Please unsubscribe me, I already have a role I love
Not interested, please remove me.
Please delete all my personal data in accordance with Art. 17 GDPR
Merci de me retirer de votre liste de diffusion
Veuillez me supprimer de votre base
Arrêtez de m'écrire
Bitte schreib mir nicht mehr
Bitte kontaktieren Sie mich in Zukunft nicht mehr
Bitte meine Daten löschen
Deje de enviarme correos"""
DOES_NOT_ASK = """Thanks, let's talk on Tuesday.
I'm not interested right now, but please keep me posted.
Please don't contact me before Monday, I am travelling.
Don't hesitate to contact me again.
Our unsubscribe rate is high, can you help?
Please stop by our office
I don't want to unsubscribe, I like your mails
Could you remove me from the calendar invite?
No thanks
Not interested.
Bitte rufen Sie mich nicht vor 9 Uhr an.
Ich habe keine Zeit mehr diese Woche
Das passt leider nicht mehr, wir haben jemanden.
Je ne suis plus disponible cette semaine
No me interesa por ahora
Can we stop the process for now?
I no longer work in this field, sorry
Wir suchen keine weiteren Mitarbeiter
Can you tell me how I unsubscribe candidates in your tool?
We need to remove my old address from the contract
Please do not send this to my boss
Ich melde mich nicht mehr vor Freitag
Non sono più interessato
Ik heb geen tijd meer
Die zweite Stelle von der Liste interessiert mich sehr.
Yes! No more emails needed, let's just talk on the phone on Friday.
Bitte nicht wieder so früh anrufen, sonst gerne.
Bitte löschen Sie meinen Lebenslauf von 2019, ich schicke den neuen.
No me envíes más detalles, ya me interesa
Don't email me, call me.
Please stop emailing me, at least until January."""


@pytest.mark.parametrize("text", [*ASKS.split("\n"), "Hi Anna,\n\nUnsubscribe please.\n\nBest", "Hello,\nSTOP\nThanks"])
def test_who_asks_to_be_left_alone_is_understood(text: str) -> None:
    assert asks_to_stop("Re: Hello", text)


@pytest.mark.parametrize("text", DOES_NOT_ASK.split("\n"))
def test_an_ordinary_answer_is_no_opt_out(text: str) -> None:
    assert not asks_to_stop("Re: Hello", text)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("I am away until 5 January.", date(2027, 1, 5)),
        ("I will be back on January 5th, 2027.", date(2027, 1, 5)),
        ("Away from Dec 20 to Jan 4, returning Jan 5", date(2027, 1, 5)),
        ("Ich bin bis zum 4. Januar nicht im Büro.", date(2027, 1, 4)),
        ("Urlaub vom 23.12. bis 02.01.2027", date(2027, 1, 2)),
        ("Je serai de retour le 4 janvier 2027.", date(2027, 1, 4)),
        ("Estaré fuera hasta el 7 de enero.", date(2027, 1, 7)),
        ("Rientro il 7 gennaio 2027.", date(2027, 1, 7)),
        ("Estarei ausente até 7 de janeiro.", date(2027, 1, 7)),
        ("Ik ben afwezig tot en met 3 januari.", date(2027, 1, 3)),
        ("Jag är tillbaka den 7 januari.", date(2027, 1, 7)),
        ("Wracam 7 stycznia 2027.", date(2027, 1, 7)),
        ("Вернусь 10 января.", date(2027, 1, 10)),
        ("1月4日まで不在です。", date(2027, 1, 4)),
        ("2027年1月4日に復帰します", date(2027, 1, 4)),
        ("Back 2027-01-04.", date(2027, 1, 4)),
        ("I am out of the office, returning on\nTuesday, December 15, 2026.", date(2026, 12, 15)),
        ("I'm on leave from December 1 to December 20.", date(2026, 12, 20)),
        ("I'm away from 1 to 20 December 2026.", date(2026, 12, 20)),
        ("I'm away 1-20 December", date(2026, 12, 20)),
        ("Out December 1-20, 2026", date(2026, 12, 20)),
        ("Je suis en congé du 30 novembre au 20 décembre.", date(2026, 12, 20)),
        ("De vacaciones del 30 de noviembre al 20 de diciembre.", date(2026, 12, 20)),
        ("Sono in ferie dal 1 al 20 dicembre.", date(2026, 12, 20)),
        ("Urlaub vom 23.11. bis 02.12.", date(2026, 12, 2)),
        ("Ich bin bis 15.12.26 nicht erreichbar", date(2026, 12, 15)),
        ("Ik ben afwezig tot en met 15-12-2026.", date(2026, 12, 15)),
        ("Ich bin ab dem 15.12. wieder erreichbar", date(2026, 12, 15)),
        ("Ik ben terug op 15 december", date(2026, 12, 15)),
        ("I am back on Friday 4 December", date(2026, 12, 4)),
        ("The office is closed from 24 December to 3 January.", date(2027, 1, 3)),
        ("Back 15 Dec. Our early-bird tickets are available until 31 March 2027", date(2026, 12, 15)),
        ("The sale runs from 1 to 20 December. I am on leave until 4 December", date(2026, 12, 4)),
        ("Back on 4 January 2027\nAnn Smith\nMeet us at the fair, 12 March 2027", date(2027, 1, 4)),
        ("Back on 20 November.", None),
        ("Back on 05-03-2027.", None),
        ("Call 030-12 34 or write to us before our meeting of 5 May.", None),
        ("Away until 03/04.", None),
        ("Away until 12/25/2026.", None),
        ("I am on vacation.", None),
        ("We moved on 3 March 2020. Away until further notice.", None),
        ("Our office closes on 5 January.", None),
        ("Back on 30 February.", None),
        ("Back on 5 January 2031.", None),
    ],
)
def test_the_day_of_return_is_read_and_never_guessed(text: str, back: date | None) -> None:
    assert return_date(text, date(2026, 11, 24)) == back


@pytest.mark.parametrize(
    ("text", "is_away"),
    [
        ("Ich bin ab dem 15.12. wieder erreichbar", True),
        ("Ik ben terug op 15 december", True),
        ("I am back on Friday 4 December", True),
        ("I'm away 1-20 December", True),
        ("Thank you for your message. We will get back to you by 4 December.", False),
        ("Your request 1234 has been received.", False),
    ],
)
def test_an_automatic_answer_is_an_absence_when_someone_is_away_or_comes_back(text: str, is_away: bool) -> None:
    found = read(letter(text, subject="Hello", Auto_Submitted="auto-replied"))
    assert isinstance(found, Reading)
    assert (found.classification, found.away) == (Classification.AUTOMATIC_ANSWER, is_away)


def test_a_hold_lasts_one_business_day_longer_in_the_persons_zone() -> None:
    now, paris = datetime(2026, 11, 24, 12, tzinfo=UTC), ZoneInfo("Europe/Paris")
    assert hold_until(date(2026, 11, 27), now, paris) == datetime(2026, 11, 29, 23, tzinfo=UTC)
    assert hold_until(date(2026, 11, 28), now, paris) == datetime(2026, 11, 29, 23, tzinfo=UTC)
    assert hold_until(None, now, paris) == datetime(2026, 12, 1, 12, tzinfo=UTC)


def test_two_notes_of_one_absence_are_known_as_one() -> None:
    assert absence_key("Until 5 January.", date(2027, 1, 5)) == absence_key("Again: 5 January!", date(2027, 1, 5))
    assert absence_key("On vacation, ticket 1", None) == absence_key("On vacation, ticket 22!", None)
    assert absence_key("On vacation", None) != absence_key("On leave", None)


@pytest.mark.parametrize("domain", ["gmail.com", "GMX.de", "yahoo.co.uk", "hotmail.fr", "qq.com", "outlook.com.br"])
def test_a_domain_for_everyone_is_no_company(domain: str) -> None:
    assert is_free_mail(domain)


@pytest.mark.parametrize("domain", ["people.example", "yahoo-inc.com", "gmail.com.evil.example", "live.nation.com", ""])
def test_a_company_is_not_taken_for_a_domain_for_everyone(domain: str) -> None:
    assert not is_free_mail(domain)
