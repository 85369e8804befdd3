"""Domains at which anyone can have an address: a reply from there speaks for one person, never for a company.

Source: product.md section 2; the providers' own sign-up pages.
"""

from typing import Final

_NAMES: Final = (
    "gmail.com googlemail.com outlook.com hotmail.com live.com msn.com passport.com yahoo.com ymail.com",
    "rocketmail.com aol.com aim.com icloud.com me.com mac.com proton.me protonmail.com protonmail.ch pm.me",
    "tutanota.com tutanota.de tuta.io tuta.com tutamail.com keemail.me fastmail.com fastmail.fm hushmail.com",
    "hush.com hey.com duck.com mail.com email.com usa.com consultant.com engineer.com post.com europe.com asia.com",
    "myself.com zoho.com zohomail.com gmx.com gmx.net gmx.de gmx.at gmx.ch gmx.fr gmx.us web.de freenet.de",
    "t-online.de arcor.de online.de 1und1.de mailbox.org posteo.de posteo.net posteo.eu mail.de email.de",
    "kabelmail.de unitymedia.de vodafone.de o2mail.de bluewin.ch hispeed.ch sunrise.ch aon.at chello.at utanet.at",
    "orange.fr wanadoo.fr free.fr laposte.net sfr.fr neuf.fr bbox.fr numericable.fr club-internet.fr aliceadsl.fr",
    "libero.it virgilio.it alice.it tin.it tiscali.it iol.it inwind.it email.it fastwebnet.it poste.it terra.es",
    "telefonica.net orange.es ono.com movistar.es sapo.pt iol.pt mail.pt netcabo.pt clix.pt telenet.be skynet.be",
    "proximus.be scarlet.be ziggo.nl kpnmail.nl xs4all.nl planet.nl home.nl hetnet.nl upcmail.nl casema.nl",
    "chello.nl btinternet.com btopenworld.com blueyonder.co.uk virginmedia.com virgin.net sky.com talktalk.net",
    "tiscali.co.uk ntlworld.com plusnet.com eircom.net comcast.net xfinity.com verizon.net att.net sbcglobal.net",
    "bellsouth.net cox.net charter.net spectrum.net earthlink.net optonline.net juno.com netzero.net frontier.com",
    "centurylink.net windstream.net roadrunner.com rr.com sympatico.ca bell.net rogers.com shaw.ca telus.net",
    "videotron.ca bigpond.com bigpond.net.au optusnet.com.au iinet.net.au tpg.com.au xtra.co.nz slingshot.co.nz",
    "telia.com comhem.se bredband.net spray.se online.no broadpark.no mail.dk stofanet.dk tdc.dk elisanet.fi",
    "kolumbus.fi luukku.com suomi24.fi wp.pl onet.pl onet.eu o2.pl interia.pl interia.eu poczta.onet.pl gazeta.pl",
    "tlen.pl vp.pl op.pl seznam.cz email.cz centrum.cz atlas.cz volny.cz azet.sk zoznam.sk centrum.sk freemail.hu",
    "citromail.hu indamail.hu abv.bg mail.bg dir.bg inbox.lv inbox.lt mail.ee hot.ee siol.net net.hr inet.hr",
    "mail.ru bk.ru inbox.ru list.ru internet.ru yandex.ru yandex.com ya.ru yandex.by yandex.kz yandex.ua rambler.ru",
    "lenta.ru ukr.net i.ua meta.ua bigmir.net tut.by otenet.gr in.gr freemail.gr hotmail.gr mynet.com ttmail.com",
    "superonline.com walla.co.il walla.com netvision.net.il bezeqint.net 012.net.il qq.com vip.qq.com foxmail.com",
    "163.com 126.com yeah.net vip.163.com sina.com sina.cn sohu.com aliyun.com 139.com 189.cn 21cn.com tom.com",
    "naver.com daum.net hanmail.net nate.com kakao.com yahoo.co.jp docomo.ne.jp ezweb.ne.jp au.com softbank.ne.jp",
    "i.softbank.jp nifty.com biglobe.ne.jp ocn.ne.jp so-net.ne.jp excite.co.jp goo.jp infoseek.jp rediffmail.com",
    "sify.com indiatimes.com in.com uol.com.br bol.com.br terra.com.br ig.com.br globo.com globomail.com r7.com",
    "zipmail.com.br oi.com.br prodigy.net.mx terra.com.mx arnet.com.ar fibertel.com.ar speedy.com.ar ciudad.com.ar",
    "telkomsa.net webmail.co.za mweb.co.za vodamail.co.za mailinator.com guerrillamail.com yopmail.com",
    "10minutemail.com temp-mail.org sharklasers.com trashmail.com",
)
_ANYWHERE: Final = frozenset(name for line in _NAMES for name in line.split())
# Their addresses end in many countries: yahoo.co.uk, hotmail.fr, live.nl, outlook.es, aol.de …
_BRANDS: Final = frozenset(
    ("yahoo", "hotmail", "live", "outlook", "ymail", "aol", "gmx", "yandex", "googlemail", "msn")
)
_SECOND_LEVEL: Final = frozenset(("co", "com", "ne", "net", "org"))


def is_free_mail(domain: str) -> bool:
    """Whether anyone can have an address at this domain."""
    name = domain.strip().strip(".").lower()
    if name in _ANYWHERE:
        return True
    brand, *ending = name.split(".")
    is_country = len(ending) == 1 and len(ending[0]) == 2
    is_country = is_country or (len(ending) == 2 and ending[0] in _SECOND_LEVEL and len(ending[1]) == 2)
    return brand in _BRANDS and is_country
