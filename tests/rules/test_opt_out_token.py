"""The token of an opt-out link: it says what it was made of, and nothing that was not signed by us says anything."""

import random
from uuid import UUID

from domain.rules.opt_out_token import OptOutLink, read, sign
from domain.secrets import Vault, hashed_address

LINK = OptOutLink(UUID(int=1), UUID(int=2**127), UUID(int=2**128 - 1), bytes(range(16)), "fr")
KEYS = {"0a1b2c3d": b"k" * 32, "99999999": b"o" * 32}


def test_a_token_says_what_it_was_made_of() -> None:
    token = sign(LINK, "0a1b2c3d", KEYS["0a1b2c3d"])
    assert read(token, KEYS) == LINK
    assert sign(LINK, "0a1b2c3d", KEYS["0a1b2c3d"]) == token
    assert len(token) == 123
    assert token.isascii()


def test_a_language_that_is_not_two_letters_is_left_out() -> None:
    for language in (None, "", "f", "fra", "é!", "F1", "--"):
        made = OptOutLink(LINK.workspace_id, LINK.recipient_id, LINK.message_id, LINK.address_hash, language)
        found = read(sign(made, "0a1b2c3d", KEYS["0a1b2c3d"]), KEYS)
        assert found is not None
        assert found.language is None


def test_no_changed_token_is_accepted() -> None:
    """Source: reliability.md R22: 0 of 10,000."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    token = sign(LINK, "0a1b2c3d", KEYS["0a1b2c3d"])
    accepted = []
    for _ in range(10_000):
        at = chance.randrange(len(token))
        kind = chance.randrange(4)
        if kind == 0:
            changed = token[:at] + chance.choice(letters) + token[at + 1 :]
        elif kind == 1:
            changed = token[:at] + token[at + 1 :]
        elif kind == 2:
            changed = token[:at] + chance.choice(letters) + token[at:]
        else:
            parts = token.split(".")
            parts[chance.randrange(4)] = "".join(chance.choice(letters[:64]) for _ in range(chance.choice((8, 22, 88))))
            changed = ".".join(parts)
        if changed != token and read(changed, KEYS) is not None:
            accepted.append(changed)
    assert accepted == []


def test_another_key_or_version_opens_nothing() -> None:
    token = sign(LINK, "0a1b2c3d", KEYS["0a1b2c3d"])
    assert read(token, {"0a1b2c3d": b"x" * 32}) is None
    assert read(token.replace("v1", "v2", 1), KEYS) is None
    assert read(token.replace("0a1b2c3d", "99999999"), KEYS) is None
    assert read("", KEYS) is None
    assert read("v1." + "é" * 8, KEYS) is None


def test_a_link_outlives_a_change_of_the_secret_key_and_so_does_what_was_sealed() -> None:
    old = Vault(b"o" * 32)
    token = sign(LINK, old.link_key_id, old.link_keys[old.link_key_id])
    sealed = old.seal("secret", UUID(int=1), "mailboxes.smtp_password", UUID(int=2))
    new = Vault(b"n" * 32, [b"m" * 32, b"o" * 32])
    assert new.link_key_id != old.link_key_id
    assert read(token, new.link_keys) == LINK
    assert new.open(sealed, UUID(int=1), "mailboxes.smtp_password", UUID(int=2)) == "secret"
    assert new.pepper == old.pepper
    assert read(token, Vault(b"n" * 32).link_keys) is None


def test_an_address_is_hashed_with_the_key_and_for_one_workspace() -> None:
    pepper = Vault(b"o" * 32).pepper
    known = hashed_address(pepper, UUID(int=1), "ann@people.example")
    assert len(known) == 16
    assert known == hashed_address(pepper, UUID(int=1), "ann@people.example")
    assert known != hashed_address(pepper, UUID(int=2), "ann@people.example")
    assert known != hashed_address(Vault(b"p" * 32).pepper, UUID(int=1), "ann@people.example")
