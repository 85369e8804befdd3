"""The words of the opt-out pages, and the choice of their language.

Source: product.md section 5; RFC 9110 12.5.4 (Accept-Language).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """One language's words: before the button is pressed, after it, for a damaged link, and when it must be tried
    again."""

    question: str
    explanation: str
    button: str
    done: str
    done_explanation: str
    damaged: str
    damaged_explanation: str
    later: str
    later_explanation: str


DEFAULT: Final = "en"

WORDS: Final = {
    "en": Words(
        "Do you want to stop these messages?",
        "Press the button and this sender will not write to you again. Nothing happens until you do.",
        "Unsubscribe",
        "You are unsubscribed",
        "This sender will not write to you again. You can close this page.",
        "This link does not work",
        "It is not complete. Open the link in the message again, or copy the whole of it.",
        "This did not work just now",
        "Please try again in a few minutes. You are not unsubscribed yet.",
    ),
    "de": Words(
        "Möchten Sie keine Nachrichten mehr erhalten?",
        "Wenn Sie auf die Schaltfläche drücken, schreibt Ihnen dieser Absender nicht mehr. Vorher geschieht nichts.",
        "Abmelden",
        "Sie sind abgemeldet",
        "Dieser Absender schreibt Ihnen nicht mehr. Sie können diese Seite schließen.",
        "Dieser Link funktioniert nicht",
        "Er ist unvollständig. Öffnen Sie den Link in der Nachricht noch einmal, oder kopieren Sie ihn ganz.",
        "Das hat gerade nicht funktioniert",
        "Bitte versuchen Sie es in ein paar Minuten noch einmal. Sie sind noch nicht abgemeldet.",
    ),
    "fr": Words(
        "Souhaitez-vous ne plus recevoir ces messages ?",
        "Appuyez sur le bouton et cet expéditeur ne vous écrira plus. Rien ne se passe avant.",
        "Se désinscrire",
        "Votre désinscription est enregistrée",
        "Cet expéditeur ne vous écrira plus. Vous pouvez fermer cette page.",
        "Ce lien ne fonctionne pas",
        "Il est incomplet. Ouvrez à nouveau le lien du message, ou copiez-le en entier.",
        "Cela n’a pas fonctionné",
        "Veuillez réessayer dans quelques minutes. Votre désinscription n’est pas encore enregistrée.",
    ),
    "es": Words(
        "¿Quiere dejar de recibir estos mensajes?",
        "Pulse el botón y este remitente no volverá a escribirle. Hasta entonces no ocurre nada.",
        "Darse de baja",
        "Se ha dado de baja",
        "Este remitente no volverá a escribirle. Puede cerrar esta página.",
        "Este enlace no funciona",
        "Está incompleto. Abra de nuevo el enlace del mensaje, o cópielo entero.",
        "No ha funcionado en este momento",
        "Vuelva a intentarlo dentro de unos minutos. Todavía no se ha dado de baja.",
    ),
    "it": Words(
        "Non vuole più ricevere questi messaggi?",
        "Prema il pulsante e questo mittente non le scriverà più. Fino ad allora non succede nulla.",
        "Annulla l’iscrizione",
        "L’iscrizione è stata annullata",
        "Questo mittente non le scriverà più. Può chiudere questa pagina.",
        "Questo link non funziona",
        "È incompleto. Apra di nuovo il link nel messaggio, oppure lo copi per intero.",
        "Al momento non ha funzionato",
        "Riprovi tra qualche minuto. L’iscrizione non è ancora stata annullata.",
    ),
    "nl": Words(
        "Wilt u deze berichten niet meer ontvangen?",
        "Druk op de knop en deze afzender schrijft u niet meer. Tot dan gebeurt er niets.",
        "Afmelden",
        "U bent afgemeld",
        "Deze afzender schrijft u niet meer. U kunt deze pagina sluiten.",
        "Deze link werkt niet",
        "Hij is niet volledig. Open de link in het bericht opnieuw, of kopieer hem helemaal.",
        "Dat lukte nu niet",
        "Probeer het over een paar minuten opnieuw. U bent nog niet afgemeld.",
    ),
    "pt": Words(
        "Quer deixar de receber estas mensagens?",
        "Prima o botão e este remetente não voltará a escrever-lhe. Até lá, nada acontece.",
        "Cancelar a subscrição",
        "A subscrição foi cancelada",
        "Este remetente não voltará a escrever-lhe. Pode fechar esta página.",
        "Esta ligação não funciona",
        "Está incompleta. Abra de novo a ligação na mensagem, ou copie-a por inteiro.",
        "Não foi possível neste momento",
        "Tente de novo dentro de alguns minutos. A subscrição ainda não foi cancelada.",
    ),
}

_RANGES_AT_MOST: Final = 20


def language_for(accept_language: str, hint: str | None) -> str:
    """Return the language of a page: the best of the reader's that there is, else the hint, else English."""
    wanted: list[tuple[float, int, str]] = []
    for index, written in enumerate(accept_language.split(",")[:_RANGES_AT_MOST]):
        tag, *parameters = (part.strip().lower() for part in written.split(";"))
        weight = next((_weight(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
        if weight > 0:
            wanted.append((-weight, index, tag.partition("-")[0]))
    for _, _, language in sorted(wanted):
        if language in WORDS:
            return language
    return hint if hint in WORDS else DEFAULT


def _weight(text: str) -> float:
    try:
        return min(float(text), 1.0) if text.replace(".", "", 1).isdigit() and text.isascii() else 0.0
    except ValueError:
        return 0.0
